"""Every installed plugin passes every check of its kind: found, not listed."""

from simssl.testing import conformance

test_conformance = conformance()

"""The conformance suite that every plugin, ours or not, must pass. The whole test file of a package is:

from simssl.testing import conformance

test_conformance = conformance("my-distribution")
"""

from simssl.testing.checks import CHECKS
from simssl.testing.conformance import conformance, outcomes, run_check
from simssl.testing.outcomes import Check, DoesNotApply, FailsAsDeclared, Outcome

__all__ = ["CHECKS", "Check", "DoesNotApply", "FailsAsDeclared", "Outcome", "conformance", "outcomes", "run_check"]

"""The conformance suite that every plugin, ours or not, must pass. A package's whole test file:

from simssl.testing import conformance

test_conformance = conformance("my-distribution")
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from simssl.registry import Plugin, Registry
from simssl.testing.checks import CHECKS

__all__ = ["CHECKS", "conformance"]


def conformance(distribution: str | None = None) -> Callable[..., None]:
    """A pytest test of every installed plugin (of one distribution) by every check of its kind."""
    import pytest

    registry = Registry()
    plugins = [p for p in registry.plugins() if distribution in (None, p.distribution)]
    assert plugins, f"no plugin of {distribution or 'any distribution'} is installed"
    cases = [(plugin, name) for plugin in plugins for name in CHECKS[plugin.kind]]

    @pytest.mark.parametrize(("plugin", "check"), cases, ids=[f"{p.kind}-{p.name}-{check}" for p, check in cases])
    def test_conformance(plugin: Plugin, check: str, tmp_path: Path) -> None:
        found: type[Any] = registry.load(plugin.kind, plugin.name)
        CHECKS[plugin.kind][check](found, tmp_path)

    return test_conformance

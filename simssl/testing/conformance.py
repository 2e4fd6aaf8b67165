"""Puts plugins to the checks of their kind: as a pytest test, and for `simssl plugins --check NAME`."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simssl.errors import code_of, line_of, location_of, summary
from simssl.plugin.registry import Plugin, Registry
from simssl.testing.checks import CHECKS
from simssl.testing.outcomes import DoesNotApply, FailsAsDeclared, Outcome


def conformance(distribution: str | None = None) -> Callable[..., None]:
    """A pytest test of every installed plugin (of one distribution) by every check of its kind.

    A check that does not apply is skipped; one that fails as the plugin's `expected_failures` say is an expected
    failure (xfail); one that passes against them fails.
    """
    import pytest

    registry = Registry()
    plugins = [p for p in registry.plugins() if distribution in (None, p.distribution)]
    assert plugins, f"no plugin of {distribution or 'any distribution'} is installed"
    cases = [(plugin, name) for plugin in plugins for name in CHECKS[plugin.kind]]

    @pytest.mark.parametrize(("plugin", "check"), cases, ids=[f"{p.kind}-{p.name}-{check}" for p, check in cases])
    def test_conformance(plugin: Plugin, check: str, tmp_path: Path) -> None:
        try:
            run_check(plugin.kind, check, registry.load(plugin.kind, plugin.name), tmp_path)
        except DoesNotApply as reason:
            pytest.skip(str(reason))
        except FailsAsDeclared as reason:
            pytest.xfail(str(reason))

    return test_conformance


def run_check(kind: str, check: str, plugin: type[Any], folder: Path) -> None:
    """Put a plugin's class to one check, in an empty folder.

    Raises what the check raises; FailsAsDeclared if the plugin says so in its `expected_failures`; AssertionError if
    it says so and passes, or the check does not apply to it.
    """
    declared = plugin.expected_failures.get(check)
    stale = f"take {check} out of {plugin.__name__}.expected_failures, where the reason is '{declared}'"
    try:
        CHECKS[kind][check](plugin, folder)
    except DoesNotApply as reason:
        if declared is not None:
            raise AssertionError(f"it does not apply ({reason}): {stale}") from None
        raise
    except Exception as error:
        if declared is not None:
            raise FailsAsDeclared(declared) from error
        raise
    if declared is not None:
        raise AssertionError(f"it passes: {stale}")


def outcomes(kind: str, plugin: type[Any]) -> list[Outcome]:
    """What every check of its kind comes to for a plugin's class, in temporary folders; what it logs is not shown."""
    logger, unseen = logging.getLogger("simssl"), logging.NullHandler()
    logger.addHandler(unseen)
    try:
        return [_outcome(kind, check, plugin) for check in CHECKS[kind]]
    finally:
        logger.removeHandler(unseen)


def _outcome(kind: str, check: str, plugin: type[Any]) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="simssl-") as folder:
        try:
            run_check(kind, check, plugin, Path(folder))
        except DoesNotApply as reason:
            return Outcome(check, "skipped", str(reason))
        except FailsAsDeclared as reason:
            return Outcome(check, "expected", str(reason))
        except Exception as error:
            return Outcome(check, "FAILED", _told(error, plugin))
    return Outcome(check, "ok")


def _told(error: Exception, plugin: type[Any]) -> str:
    """What failed, with the line of the plugin's own code that the error passed last, or that of its class."""
    said, near = " ".join(str(error).split()), code_of(plugin)
    if re.search(r"\.py:\d+\)", said):
        return said  # with a line already
    what = said if said and isinstance(error, AssertionError) else summary(error)
    return what + location_of(error, near, line_of(plugin))

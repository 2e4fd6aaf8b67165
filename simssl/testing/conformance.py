"""Put plugins to the checks of their kind: as a pytest test, and for `simssl plugins --check NAME`."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simssl.errors import STOPS, code_of, line_of, location_of, summary
from simssl.plugin.registry import Plugin, Registry
from simssl.testing.checks import CHECKS
from simssl.testing.outcomes import DoesNotApply, FailsAsDeclared, Outcome


def conformance(distribution: str | None = None) -> Callable[..., None]:
    """Return a pytest test of every installed plugin (of one distribution) by every check of its kind.

    A check that does not apply is skipped. One that fails as the plugin's `expected_failures` say is an expected
    failure (xfail). One that passes although they name it fails.
    """
    import pytest

    registry = Registry()
    plugins = registry.plugins()
    if distribution is not None:
        plugins = [plugin for plugin in plugins if plugin.distribution == distribution]
    assert plugins, f"no plugin of {distribution or 'any distribution'} is installed"
    cases = []
    ids = []
    for plugin in plugins:
        for check in CHECKS[plugin.kind]:
            cases.append((plugin, check))
            ids.append(f"{plugin.kind}-{plugin.name}-{check}")

    @pytest.mark.parametrize(("plugin", "check"), cases, ids=ids)
    def test_conformance(plugin: Plugin, check: str, tmp_path: Path) -> None:
        try:
            plugin_class = registry.load(plugin.kind, plugin.name)
            run_check(plugin.kind, check, plugin_class, tmp_path)
        except DoesNotApply as reason:
            pytest.skip(str(reason))
        except FailsAsDeclared as reason:
            pytest.xfail(str(reason))

    return test_conformance


def run_check(kind: str, check: str, plugin: type[Any], folder: Path) -> None:
    """Put a plugin's class to one check, in an empty folder.

    The error of the check is raised. FailsAsDeclared is raised instead if the plugin names the check in its
    `expected_failures`. AssertionError is raised if it names the check and passes, or the check does not apply to it.
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
    """The outcome of every check of its kind for a plugin's class, in temporary folders. Its logs are not shown."""
    logger = logging.getLogger("simssl")
    unseen = logging.NullHandler()
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
        except STOPS:
            raise
        except BaseException as error:
            return Outcome(check, "FAILED", _said_of(error, plugin))
    return Outcome(check, "ok")


def _said_of(error: BaseException, plugin: type[Any]) -> str:
    """The error's message, with the line of the plugin's own code that it passed last, or that of its class."""
    message = " ".join(str(error).split())
    has_line = re.search(r"\.py:\d+\)", message)
    if has_line:
        return message
    if not message or not isinstance(error, AssertionError):
        message = summary(error)
    return message + location_of(error, code_of(plugin), line_of(plugin))

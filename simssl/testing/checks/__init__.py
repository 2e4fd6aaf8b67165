"""The named checks of each kind of plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simssl import api
from simssl.plugin.plugin import KINDS
from simssl.testing.checks import backbones, datasets, evaluators, objectives, parameters, processes, trackers, training
from simssl.testing.outcomes import Check

__all__ = ["CHECKS", "COMMON"]


def expected_failures_are_declared(plugin: Any, folder: Path) -> None:
    """Every name in `expected_failures` is that of a check of its kind, and has a reason."""
    kind = _kind_of(plugin)
    for name, reason in plugin.expected_failures.items():
        assert name in CHECKS[kind], f"{plugin.__name__}.expected_failures has '{name}', which is no check of its kind"
        given = isinstance(reason, str) and reason.strip()
        assert given, f"{plugin.__name__}.expected_failures gives no reason for '{name}'"


def _kind_of(plugin: Any) -> str:
    for kind, base in KINDS.items():
        if issubclass(plugin, getattr(api, base)):
            return kind
    raise AssertionError("every plugin is of a kind")


COMMON: tuple[Check, ...] = (*parameters.CHECKS, expected_failures_are_declared)
"""The checks of every kind."""

_OWN: dict[str, tuple[Check, ...]] = {
    "dataset": datasets.CHECKS,
    "backbone": backbones.CHECKS,
    "objective": (*objectives.CHECKS, *training.CHECKS, *processes.CHECKS),
    "evaluator": evaluators.CHECKS,
    "tracker": trackers.CHECKS,
}

CHECKS: dict[str, dict[str, Check]] = {}
"""The checks of each kind, by name."""

for _kind, _own in _OWN.items():
    CHECKS[_kind] = {check.__name__: check for check in (*COMMON, *_own)}

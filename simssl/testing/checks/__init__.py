"""The named checks of each kind of plugin."""

from __future__ import annotations

from simssl.testing.checks import backbones, datasets, evaluators, objectives, parameters, trackers, training
from simssl.testing.outcomes import Check

_OWN: dict[str, tuple[Check, ...]] = {
    "dataset": datasets.CHECKS,
    "backbone": backbones.CHECKS,
    "objective": (*objectives.CHECKS, *training.CHECKS),
    "evaluator": evaluators.CHECKS,
    "tracker": trackers.CHECKS,
}

CHECKS: dict[str, dict[str, Check]] = {}
"""The checks of each kind, by name."""

for _kind, _own in _OWN.items():
    _checks = (*parameters.CHECKS, *_own)
    CHECKS[_kind] = {check.__name__: check for check in _checks}

__all__ = ["CHECKS"]

"""The named checks of each kind of plugin."""

from __future__ import annotations

from simssl.testing.checks import backbones, datasets, evaluators, objectives, parameters, trackers, training
from simssl.testing.outcomes import Check

CHECKS: dict[str, dict[str, Check]] = {
    kind: {check.__name__: check for check in (*parameters.CHECKS, *checks)}
    for kind, checks in {
        "dataset": datasets.CHECKS,
        "backbone": backbones.CHECKS,
        "objective": (*objectives.CHECKS, *training.CHECKS),
        "evaluator": evaluators.CHECKS,
        "tracker": trackers.CHECKS,
    }.items()
}
"""The checks of each kind, by name."""

__all__ = ["CHECKS"]

"""Checks of trackers: they follow a run from its beginning, or from where it goes on, to its end."""

from __future__ import annotations

from pathlib import Path

import torch

from simssl.api import Metric, Result, RunInfo, Subject, Tracker
from simssl.evaluation.subject import FrozenSubject
from simssl.experiment.model import Choice
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import default_params, tiny_run
from simssl.testing.outcomes import Check
from simssl.testing.randomness import leaves_global_randomness


def follows_a_run(tracker: type[Tracker], folder: Path) -> None:
    """It takes all that a new run tells it, leaves the global random state as it is, and raises nothing."""
    _follow(tracker, folder, start_step=0, error=None)


def follows_a_run_that_goes_on_and_fails(tracker: type[Tracker], folder: Path) -> None:
    """It takes all that it is told by a run that goes on in the same folder, and that ends in an error."""
    _follow(tracker, folder, start_step=0, error=None)
    _follow(tracker, folder, start_step=5, error=RuntimeError("the disk is full"))


def _follow(
    tracker: type[Tracker],
    folder: Path,
    start_step: int,
    error: BaseException | None,
) -> None:
    instance = tracker(default_params(tracker))
    built = tiny_run()
    objective = Choice("objective", "tiny", built.objective.params)
    settings = {"objective": objective.resolved}
    subject: Subject = FrozenSubject(built, RunFolder(folder), "evaluator")
    picture = torch.zeros(1, 16, 16, dtype=torch.uint8)
    rank = Metric(2.0, "dimensions")
    result = Result({"rank": rank}, {"test": picture}, {}, "effective_rank")
    info = RunInfo(folder, "tiny", "tiny", 0, "cpu", start_step, 10, 6, settings)
    with leaves_global_randomness(0, "a generator of its own"):
        instance.started(info)
        instance.follow(lambda: start_step)
        instance.measured(start_step, result)
        for step in (start_step + 2, 10):
            instance.logged(step, {"loss": 1.5, "reconstruction": 1.0, "kl": 0.5})
        instance.trained(10)
        instance.evaluated(result, subject)
        instance.ended(error)


CHECKS: tuple[Check, ...] = (follows_a_run, follows_a_run_that_goes_on_and_fails)

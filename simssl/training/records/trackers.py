"""The trackers of a run. One that raises is detached, and the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from simssl.api import Result, RunInfo, StepsDone, Subject, Tracker
from simssl.errors import STOPS, code_of, one_line
from simssl.store.folder import RunFolder
from simssl.training.build import BuiltRun

Builder = Callable[[], Tracker]
"""Builds a tracker."""


def run_info(built: BuiltRun, folder: RunFolder, step: int, trained: bool) -> RunInfo:
    """Return what trackers are told of a run that starts after `step` steps, which are all if it is trained."""
    experiment = built.experiment
    return RunInfo(
        directory=folder.path,
        experiment=experiment.name,
        objective=experiment.objective.name,
        seed=experiment.seed,
        device=str(built.device),
        start_step=step,
        steps=step if trained else built.steps,
        views_per_step=built.views_per_step,
        settings=experiment.resolved,
    )


class Trackers:
    """All trackers of a run, called as one. `warn` is told of each that fails, once."""

    def __init__(self, builders: Mapping[str, Builder], warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._trackers: dict[str, Tracker] = {}
        for name, build in builders.items():
            with self._guarded(name):
                self._trackers[name] = build()

    def started(self, run: RunInfo) -> None:
        self._each(lambda tracker: tracker.started(run))

    def follow(self, steps_done: StepsDone) -> None:
        self._each(lambda tracker: tracker.follow(steps_done))

    def logged(self, step: int, terms: dict[str, float]) -> None:
        self._each(lambda tracker: tracker.logged(step, dict(terms)))

    def measured(self, step: int, result: Result) -> None:
        self._each(lambda tracker: tracker.measured(step, result))

    def trained(self, step: int) -> None:
        self._each(lambda tracker: tracker.trained(step))

    def evaluated(self, result: Result, subject: Subject) -> None:
        self._each(lambda tracker: tracker.evaluated(result, subject))

    def ended(self, error: BaseException | None) -> None:
        self._each(lambda tracker: tracker.ended(error))

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            with self._guarded(name):
                call(tracker)

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Detach the tracker of this name if it raises, also while it is built."""
        try:
            yield
        except STOPS:
            raise
        except BaseException as error:
            tracker = self._trackers.pop(name, None)
            code = code_of(type(tracker)) if tracker else []
            reason = one_line(error, code)
            self._warn(f"the tracker '{name}' failed and is detached: {reason}")

"""Trackers see a run go by; one that raises is detached, and the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from simssl.api import Result, RunInfo, Subject, Tracker


class Trackers:
    """All trackers of a run, called as one. `warn` is told, once, of each that fails."""

    def __init__(self, trackers: Iterable[tuple[str, Tracker]], warn: Callable[[str], None]) -> None:
        self._trackers = dict(trackers)
        self._warn = warn

    def started(self, run: RunInfo) -> None:
        self._each(lambda tracker: tracker.started(run))

    def logged(self, step: int, terms: dict[str, float]) -> None:
        self._each(lambda tracker: tracker.logged(step, dict(terms)))

    def evaluated(self, result: Result, subject: Subject) -> None:
        self._each(lambda tracker: tracker.evaluated(result, subject))

    def ended(self, error: BaseException | None) -> None:
        self._each(lambda tracker: tracker.ended(error))

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                call(tracker)
            except Exception as error:
                del self._trackers[name]
                self._warn(f"the tracker '{name}' failed and is detached ({type(error).__name__}: {error})")

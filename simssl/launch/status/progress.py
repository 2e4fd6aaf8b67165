"""A run's progress, written down while it is worked on: for `simssl status`, on this machine or another."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from simssl.api import RunInfo, StepsDone, Tracker
from simssl.errors import Interrupted, RunError
from simssl.params import Params
from simssl.store.folder import RunFolder
from simssl.store.metrics import evaluators_of
from simssl.store.progress import State, progress_now, stamp_of, write_progress

SECONDS = 10.0
"""Time between two records while a run is worked on. A record takes a millisecond or so, beside the training."""

RECENT = 12
"""Records over which the speed is measured."""


class ProgressTracker(Tracker):
    """Writes progress.json: at the start, every few seconds, and at the end."""

    def __init__(self) -> None:
        super().__init__(Params())

    def started(self, run: RunInfo) -> None:
        self._folder = RunFolder(run.directory)
        self._steps = run.steps
        self._step = run.start_step
        self._steps_done: StepsDone | None = None
        self._since = time.time()
        self._measuring = False
        self._trained = False
        self._seen: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look_on, name="progress", daemon=True)
        self._watch.start()

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Say of the run in training that it is measured, for as long as this lasts."""
        self._measuring = True
        try:
            yield
        finally:
            self._measuring = False

    def follow(self, steps_done: StepsDone) -> None:
        self._steps_done = steps_done

    def trained(self, step: int) -> None:
        """Take note that what follows are measurements."""
        self._step = step
        self._steps_done = None
        self._trained = self._measuring = True

    def ended(self, error: BaseException | None) -> None:
        """Write how it ended. A failure is told by who knows its sentence."""
        self._over.set()
        self._watch.join()
        self._look()
        if isinstance(error, Interrupted):
            self._write("stopped")
        elif error is None:
            measured = evaluators_of(self._folder)
            self._write("done", evaluators=measured, stamp=stamp_of(self._folder))

    def _look_on(self) -> None:
        while True:
            self._look()
            self._write("running", ends=self._ends(), measuring=self._measuring)
            if self._over.wait(SECONDS):
                return

    def _look(self) -> None:
        """See how far the training is. Nothing of it is kept once it is over."""
        steps_done = self._steps_done
        if steps_done is None:
            return
        self._step = steps_done()
        self._seen.append((time.time(), self._step))
        if self._step >= self._steps:
            self._steps_done = None

    def _ends(self) -> float | None:
        """The time at which the last step will be done; None if it is not known."""
        if len(self._seen) < 2 or self._trained or self._step >= self._steps:
            return None
        (begin, first), (end, last) = self._seen[0], self._seen[-1]
        if last <= first:
            return None
        return end + (self._steps - last) * (end - begin) / (last - first)

    def _write(self, state: State, **values: Any) -> None:
        """Write the record. Where that cannot be, the run goes on: it is told at its next file."""
        progress = progress_now(state, since=self._since, step=self._step, steps=self._steps, **values)
        with suppress(RunError):
            write_progress(self._folder, progress)

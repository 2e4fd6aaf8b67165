"""What a training will take, said once, in its first seconds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

SECONDS = 3.0
"""Time from the end of the first step to the estimate."""

NEAR = 1.25
"""The ratio of two estimates from which on the second one is worth saying, too."""


class Estimates:
    """Says what the trainings of a command will take: one line for each method, unless others take about as long.

    The clock is the host's, so the steps that count are those that the device has finished.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.perf_counter) -> None:
        self._say = say
        self._clock = clock
        self._said: dict[str, float] = {}
        self._method = ""
        self._first: tuple[int, float] | None = None
        """The step after which the clock was started, and the time. The steps before it are for warming up."""
        self._over = True
        self._measuring: list[float] = []
        """The seconds of each measurement of this training so far."""

    def begin(self, method: str) -> None:
        """Get ready for the training of a method."""
        self._method = method
        self._first = None
        self._over = False
        self._measuring = []

    def measured(self, seconds: float) -> None:
        """Take note that the training has stood still for so long, to be measured."""
        self._measuring.append(seconds)
        if self._first is not None:
            step, begun = self._first
            self._first = (step, begun + seconds)

    def done(self, step: int, steps: int, measurements: int = 0) -> None:
        """Take note that this step of so many is done, and say the estimate if it is time.

        `measurements` of the run are still to come.
        """
        if self._over:
            return
        now = self._clock()
        if self._first is None:
            self._first = (step, now)
            return
        first_step, begun = self._first
        seconds = now - begun
        if seconds < SECONDS or step == first_step:
            return
        self._over = True
        rate = (step - first_step) / seconds
        standing_still = measurements * statistics.fmean(self._measuring) if self._measuring else 0.0
        self._tell((steps - step) / rate + standing_still)

    def _tell(self, seconds: float) -> None:
        """Say it, unless the training is as good as over, or another of the method takes about as long."""
        before = self._said.get(self._method)
        known = before is not None and before / NEAR < seconds < before * NEAR
        if known or seconds < SECONDS:
            return
        self._said[self._method] = seconds
        self._say(f"  about {duration(seconds)} to go until it is trained")


def duration(seconds: float) -> str:
    """The words for a time: its two largest units, or seconds alone up to two minutes."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min"

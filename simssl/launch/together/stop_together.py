"""A signal to one of the processes of a run stops all of them after the same step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from simssl.blocks.distributed import Group
from simssl.training.stop import StopOnce

LOOK = 0.5
"""Seconds between two moments in training at which the processes agree on whether to stop."""


class StopTogether(StopOnce):
    """A guard of several processes: a signal to one stops all of them after the same step."""

    def __init__(self, group: Group) -> None:
        super().__init__()
        self._group = group
        self._next = 0
        """The step after which they agree next."""
        self._agreed: tuple[int, float] | None = None
        """The step after which they last agreed, and when; None if that was not in this training."""

    def asked(self, step: int, last: bool = False) -> int | None:
        """Return the signal that asks for an end after this step; on all processes the same."""
        if step < self._next and not last:
            return None
        signum, seconds = self._agree(self._seconds_a_step(step))
        self._next = step + max(1, int(LOOK / max(seconds, 1e-9)))
        return signum

    def _seconds_a_step(self, step: int) -> float:
        """The time of a step since they last agreed; without end where nothing is known."""
        before, now = self._agreed, time.perf_counter()
        self._agreed = (step, now)
        if before is None:
            return math.inf
        return (now - before[1]) / max(1, step - before[0])

    def _agree(self, seconds: float) -> tuple[int | None, float]:
        """Return the signal that any process has got, and the most seconds that a step has taken on one of them."""
        own = torch.tensor([float(self.signum or 0), seconds], dtype=torch.float64)
        all_R2 = self._group.gather(own)
        signum, most = all_R2.amax(0).tolist()
        if signum:
            self.signum = int(signum)
        return self.signum, most

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Hold a signal back all the same: the other processes wait for this one, and have to hear of it together."""
        yield

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold back a first signal, in the training of one more run: it begins at a step of its own."""
        self._next = 0
        self._agreed = None
        with super().deferred():
            yield
            self._agree(0.0)

"""A signal is heeded within a second or so, in every training of a command."""

from __future__ import annotations

import signal
import time
from contextlib import suppress

import pytest
from torch import Tensor

from simssl.errors import Interrupted
from simssl.launch.together.stop_together import StopTogether


class Alone:
    """A group of one process."""

    rank = 0
    size = 1

    def sum(self, x: Tensor) -> None:
        return

    def gather(self, x: Tensor) -> Tensor:
        return x[None]

    def copy_first(self, x: Tensor) -> None:
        return


def steps_after_a_signal(stop: StopTogether, first: int) -> int:
    """The steps of a training after which it ends. It begins at this one, of 20 ms, and gets a signal after it."""
    with suppress(Interrupted), stop.deferred():
        stop.asked(first)
        stop._handle(signal.SIGTERM, None)
        for step in range(first + 1, first + 100):
            time.sleep(0.02)
            if stop.asked(step) is not None:
                break
    return step - first


@pytest.mark.parametrize("first", [1, 100_000])
def test_a_signal_is_heeded_in_the_training_of_a_later_run(first: int) -> None:
    """The training before had many short steps."""
    stop = StopTogether(Alone())
    with stop.deferred():
        for step in range(200_000):
            stop.asked(step)
    assert steps_after_a_signal(stop, first) < 60


def test_a_signal_is_heeded_soon_where_a_training_goes_on() -> None:
    """The steps before this process began are no measure of a step's time."""
    assert steps_after_a_signal(StopTogether(Alone()), 100_000) < 60

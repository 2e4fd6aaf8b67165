"""Launchers of training steps: one by one, or as CUDA graphs of one and of several steps."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Protocol

from torch import Tensor

from simssl.errors import code_of, lack_of_memory, one_line
from simssl.training.capture.compare import NotCapturable, compare
from simssl.training.capture.snapshot import HeldValues, Snapshot, held
from simssl.training.step import Step

logger = logging.getLogger("simssl")

LONGEST = 16
"""Most steps in a launch. Ours."""

LAUNCH_SECONDS = 2e-3
"""The time that a launch of several steps takes, about. It is long beside what the host needs for a launch. Ours."""

TRIALS = 3
"""The number of eager steps that warm up. As many replayed ones are compared with them."""


def next_launch(
    step: int,
    steps: int,
    log_every: int,
    left_in_epoch: int,
    longest: int,
    left_to_measurement: float = math.inf,
) -> int:
    """Return the number of steps in the next launch.

    No launch goes beyond a record of the terms, a measurement, an epoch's end or the run's end.
    """
    left_to_record = log_every - step % log_every
    left_in_run = steps - step
    return int(min(longest, left_to_record, left_to_measurement, left_in_run, left_in_epoch))


Call = Callable[[], None]
"""A call that works on the device."""


class Graphs(Protocol):
    """Captures calls and replays them: `CudaGraphs` in `cuda_graph`, and a recorder on the CPU for tests."""

    def warm_up(self, call: Call) -> None:
        """Call it eagerly, in the way it will be captured. RuntimeError if the host waits for the device in it."""

    def capture(self, call: Call) -> Call:
        """Return what replays the call, without doing any of it.

        Raises what it likes if that cannot be captured, and leaves nothing behind then.
        """

    def seconds(self, replay: Call) -> float:
        """Replay, and return the seconds that it took on the device."""


class Launcher(Protocol):
    """Launches steps of the training."""

    longest: int
    """Most steps in one launch."""

    def __call__(self, steps: int) -> None:
        """Launch so many steps, at most `longest`."""


class Eager:
    """A launcher of steps one by one."""

    longest = 1

    def __init__(self, step: Step) -> None:
        self._step = step

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            self._step()


class Captured:
    """A launcher that replays captured steps.

    It captures one graph of as many steps as make a launch worthwhile, and one of a single step, for what is left
    before a boundary. Warm-up and capture leave weights, statistics, the optimiser's state, counters, sums and random
    states as they were. `taken` and `position` are where the run stands.

    Raises whatever stands against a capture.
    """

    def __init__(
        self,
        step: Step,
        graphs: Graphs,
        taken: int,
        position: int,
        longest: int,
    ) -> None:
        before = Snapshot(step)
        self._step = step
        self._taken = taken
        self._position = position
        try:
            self._try(partial(_warm_up, step, graphs, []), before)
            expected_T = step.window.sums.clone()
            before.restore()

            self._one = graphs.capture(step)
            before.restore()

            seconds: list[float] = []

            def replay() -> None:
                seconds.append(graphs.seconds(self._one))

            self._try(replay, before)
            compare(step.window, expected_T, TRIALS, step.precision)
            worthwhile = int(LAUNCH_SECONDS / max(min(seconds), 1e-9))
            self.longest = max(1, min(longest, LONGEST, worthwhile))
            before.restore()

            self._many = graphs.capture(self._steps) if self.longest > 1 else self._one
        finally:
            before.restore()
            step.optimizer.zero_grad(set_to_none=True)

    def _try(self, run: Call, before: Snapshot) -> None:
        """Run a few steps, all on the batch that is next, from an empty window on."""
        for tensor in self._step.window.tensors():
            tensor.zero_()
        for _ in range(TRIALS):
            self._step.set_counters(self._taken, self._position)
            run()
        names = before.replaced()
        if names:
            raise NotCapturable(f"a step puts another tensor in the place of '{names[0]}'; it must write into it")

    def _steps(self) -> None:
        for _ in range(self.longest):
            self._step()

    def __call__(self, steps: int) -> None:
        if steps == self.longest:
            self._many()
        else:
            for _ in range(steps):
                self._one()


def _warm_up(step: Step, graphs: Graphs, seen: list[HeldValues]) -> None:
    """Take one eager step. NotCapturable if it changes a number that the objective keeps on the host.

    A replay would not change it. The first step may set such numbers. `seen` holds those after each step so far.
    """
    graphs.warm_up(step)
    values = held(step.objective)
    numbers = {name: value for name, value in values.items() if not isinstance(value, Tensor)}
    if seen:
        for name, value in numbers.items():
            if seen[-1].get(name) != value:
                raise NotCapturable(f"a step changes '{name}', a number on the host; keep it in a buffer")
    seen.append(numbers)


def launcher(
    step: Step,
    graphs: Graphs | None,
    name: str,
    taken: int,
    position: int,
    longest: int,
) -> Launcher:
    """Return a launcher of captured steps where there are `graphs`, and of eager steps otherwise.

    If the objective, whose name is given, cannot be captured, its steps are eager too, and the log says why. `taken`
    and `position` are where the run stands. `longest` is the most steps that any of its launches can have.
    """
    if graphs is None:
        return Eager(step)
    try:
        if not step.objective.capturable:
            raise NotCapturable("it declares that it cannot be captured")
        return Captured(step, graphs, taken=taken, position=position, longest=longest)
    except NotCapturable as error:
        reason = str(error)
    except Exception as error:  # torch raises what it likes
        lack = lack_of_memory(error)
        if lack:
            logger.info(
                f"the steps of the objective '{name}' are launched one by one, without a CUDA graph: it takes too much "
                f"memory ({lack})"
            )
            return Eager(step)
        reason = one_line(error, code_of(type(step.objective)))
    logger.info(f"the objective '{name}' is trained step by step, without a CUDA graph: {reason}")
    return Eager(step)

"""How training steps are launched: one by one, or as CUDA graphs of one and of several steps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from simssl.errors import code_of, one_line
from simssl.training.capture.snapshot import Held, Snapshot, held
from simssl.training.step import Step

LONGEST = 16
"""Most steps in a launch. Ours."""

LAUNCH_SECONDS = 2e-3
"""How long a launch of several steps takes, about: long beside what the host needs for one. Ours."""

TRIALS = 3
"""Steps that warm up, and with which the replayed steps are compared."""

TOLERANCE = 1e-3
"""Of the replayed losses, relative to the largest term: more than kernels that add in any order, less than noise."""


def next_launch(step: int, steps: int, log_every: int, left_in_epoch: int, longest: int) -> int:
    """How many steps the next launch takes: none crosses a record of the terms, an epoch's end or the run's end."""
    return min(longest, log_every - step % log_every, steps - step, left_in_epoch)


class Graphs(Protocol):
    """What captures and replays: `CudaGraphs` in `cuda_graph`, and a recorder on the CPU for tests."""

    def warm_up(self, call: Callable[[], None]) -> None:
        """Call it eagerly, the way it will be captured; RuntimeError if the host waits for the device in it."""

    def capture(self, call: Callable[[], None]) -> Callable[[], None]:
        """What replays the call, of which nothing is done yet; whatever it raises if it cannot be captured."""

    def seconds(self, replay: Callable[[], None]) -> float:
        """Replay, and say how long it took on the device."""

    def give_up(self) -> None:
        """Undo what a capture that has failed left behind."""


class Launcher(Protocol):
    longest: int
    """Most steps in one launch."""

    def __call__(self, steps: int) -> None:
        """Launch these many steps, at most `longest`."""


class Eager:
    """Steps one by one."""

    longest = 1

    def __init__(self, step: Step) -> None:
        self._step = step

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            self._step()


class NotCapturable(Exception):
    """A step does what a replay would not repeat; the message is the reason."""


class Captured:
    """Replays of the step: of as many as make a launch worthwhile, and of one, for what is left before a boundary.

    Raises whatever stands against it. Warm-up and capture leave weights, statistics, the optimiser's state, counters,
    sums and random states as they were.
    """

    def __init__(self, step: Step, graphs: Graphs, taken: int, position: int, longest: int) -> None:
        before, self._step = Snapshot(step), step
        self._at = (taken, position)
        try:
            self._try(partial(_warm_up, step, graphs, []), before)
            expected = step.window.tensors()[0].clone()
            before.restore()
            self._one = graphs.capture(step)
            before.restore()
            seconds: list[float] = []
            self._try(lambda: seconds.append(graphs.seconds(self._one)), before)
            _compare(step, expected)
            self.longest = max(1, min(longest, LONGEST, int(LAUNCH_SECONDS / max(min(seconds), 1e-9))))
            before.restore()
            self._many = graphs.capture(self._steps) if self.longest > 1 else self._one
        except BaseException:
            graphs.give_up()
            raise
        finally:
            before.restore()
            step.optimizer.zero_grad(set_to_none=True)

    def _try(self, run: Callable[[], None], before: Snapshot) -> None:
        """A few steps, all on the batch that is next, from an empty window on."""
        for tensor in self._step.window.tensors():
            tensor.zero_()
        for _ in range(TRIALS):
            self._step.place(*self._at)
            run()
        if names := before.replaced():
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


def _warm_up(step: Step, graphs: Graphs, seen: list[dict[str, Held]]) -> None:
    """One eager step; NotCapturable if it changes a number that the objective keeps on the host, as a replay would
    not. The first may set some."""
    graphs.warm_up(step)
    numbers = {name: value for name, value in held(step.objective).items() if not isinstance(value, Tensor)}
    changed = [name for name, value in numbers.items() if seen and seen[-1].get(name) != value]
    if changed:
        raise NotCapturable(f"a step changes '{changed[0]}', a number on the host; keep it in a buffer")
    seen.append({**numbers})


def _compare(step: Step, expected: Tensor) -> None:
    """NotCapturable if replayed steps have summed up other terms than eager ones."""
    found = step.window.tensors()[0]
    scale = expected.abs().max()
    if not torch.allclose(found / scale, expected / scale, rtol=0, atol=TOLERANCE, equal_nan=True):
        worst = int((found - expected).abs().nan_to_num(torch.inf).argmax())
        values = " and ".join(f"{float(sums[worst]) / TRIALS:.6g}" for sums in (expected, found))
        raise NotCapturable(
            f"replayed steps differ from eager ones (the term '{step.window.names[worst]}' is {values}), so that "
            "something in a step is not done on the device, or not by the generator that is handed in"
        )


def launcher(step: Step, graphs: Graphs | None, name: str, taken: int, position: int, longest: int) -> Launcher:
    """Captured steps where there are `graphs` and the objective of this name allows it; the log says if not.

    `taken` and `position` are where the run stands, `longest` the most steps that any of its launches can have.
    """
    if graphs is None:
        return Eager(step)
    try:
        if not step.objective.capturable:
            raise NotCapturable("it declares that it cannot be captured")
        return Captured(step, graphs, taken, position, longest)
    except Exception as error:  # torch raises what it likes
        near = code_of(type(step.objective))
        reason = str(error) if isinstance(error, NotCapturable) else one_line(error, near)
        logging.getLogger("simssl").info(
            f"the objective '{name}' is trained step by step, without a CUDA graph: {reason}"
        )
        return Eager(step)

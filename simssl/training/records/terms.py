"""The window of loss terms and monitors: summed on the device, and copied to the host once in a while.

T counts the terms: those of the loss, then the monitors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simssl.api import Terms
from simssl.blocks.precision import at_least_float32
from simssl.errors import RunError


@dataclass(frozen=True)
class Sums:
    """What was summed up of the terms by a step of the run. The device copies it to the host in its own time."""

    names: Sequence[str]
    losses: int
    """The number of terms of the loss, which come first."""
    step: int
    """The last step in the sums."""
    count: int
    """The number of steps in the sums."""
    totals_2T: Tensor
    """The sums, and the numbers of finite steps before the first that was not; on the host."""
    copied: torch.cuda.Event | None
    """The end of the copy from a CUDA device."""

    def means(self, run: str) -> dict[str, float]:
        """Return the mean of each term and, as "loss", the sum of the loss terms. The host waits for the copy.

        RunError if a term of the loss was not finite; `run` says which run it is.
        """
        self.refuse_not_finite(run)
        means = (self.totals_2T[0] / self.count).tolist()
        by_name = dict(zip(self.names, means, strict=True))
        return {"loss": sum(means[: self.losses]), **by_name}

    def refuse_not_finite(self, run: str) -> None:
        """Raise RunError if a term of the loss was not finite. It names the first such term, and the step."""
        if self.copied is not None:
            self.copied.synchronize()
        finite_steps = self.totals_2T[1].tolist()
        losses = list(zip(self.names, finite_steps, strict=True))[: self.losses]
        first, finite = min(losses, key=lambda term: term[1])
        if finite >= self.count:  # more, where an error came between a launch and the count of its steps
            return
        step = self.step - self.count + int(finite) + 1
        advice = "try a smaller learning rate"
        if step == 1:  # the learning rate has done nothing yet
            advice = (
                "no weight has been changed yet, so look at the objective's parameters: a temperature or a variance "
                "may be too close to 0"
            )
        raise RunError(f"the loss term '{first}' is not finite at step {step} of {run}; {advice}")


class TermWindow:
    """The sums of the terms since the last record.

    `add` never makes the host wait for the device, so that it may be part of what is captured once and replayed. For
    the same reason it does not count the steps: who launches them counts, in `count`.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        """The names of the terms."""
        self.losses = 0
        """The number of terms of the loss, which come first."""
        self.totals_2T: Tensor | None = None
        """The sum of each term, and the number of steps for which it was finite; None before the first step.

        In float64, where numbers of float32 add up to no infinity. So a sum is finite up to the first term that is not,
        and never after.
        """
        self.count = 0
        """The number of steps in the sums."""

    def add(self, terms: Terms) -> None:
        """Add the terms of a step."""
        values = [*terms.loss.values(), *terms.monitor.values()]
        detached = [at_least_float32(value.detach()) for value in values]
        value_T = torch.stack(detached)
        if self.totals_2T is None:
            self.names = [*terms.loss, *terms.monitor]
            self.losses = len(terms.loss)
            self.totals_2T = value_T.new_zeros(2, len(value_T), dtype=torch.float64)
        sum_T, finite_T = self.totals_2T.unbind()
        sum_T += value_T
        finite_T += sum_T.abs() < math.inf

    @property
    def sums(self) -> Tensor:
        """The sum (T,) of each term."""
        assert self.totals_2T is not None
        return self.totals_2T[0]

    def tensors(self) -> list[Tensor]:
        """The tensors that `add` writes to."""
        return [] if self.totals_2T is None else [self.totals_2T]

    def so_far(self, step: int) -> Sums:
        """Return what is summed up by this step, the last one that was launched. The host does not wait."""
        assert self.totals_2T is not None
        on_cuda = self.totals_2T.is_cuda
        on_host_2T = torch.empty(self.totals_2T.shape, dtype=torch.float64, pin_memory=on_cuda)
        on_host_2T.copy_(self.totals_2T, non_blocking=True)
        copied = torch.cuda.current_stream(self.totals_2T.device).record_event() if on_cuda else None
        return Sums(self.names, self.losses, step, self.count, on_host_2T, copied)

    def take(self, step: int) -> Sums:
        """Return what is summed up by this step, and empty the window. The host does not wait."""
        sums = self.so_far(step)
        assert self.totals_2T is not None
        self.totals_2T.zero_()
        self.count = 0
        return sums

    def state(self) -> dict[str, Any]:
        """The part of a checkpoint that keeps the window. The terms of the loss are finite then."""
        sums_T = None if self.totals_2T is None else self.sums
        return {"names": self.names, "losses": self.losses, "count": self.count, "sums": sums_T}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Take up the window that `state` returned."""
        self.names = state["names"]
        self.losses = state["losses"]
        self.count = state["count"]
        if state["sums"] is not None:
            sum_T = state["sums"].to(device, torch.float64)
            finite_T = torch.full_like(sum_T, self.count)
            self.totals_2T = torch.stack((sum_T, finite_T))

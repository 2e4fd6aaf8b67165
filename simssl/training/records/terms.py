"""The window of loss terms and monitors: summed on the device, and read by the host once in a while.

T counts the terms: those of the loss, then the monitors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from simssl.api import Terms
from simssl.blocks.precision import at_least_float32
from simssl.errors import RunError


class TermWindow:
    """The sums of the terms since the last reading.

    `add` never makes the host wait for the device, so that it may be part of what is captured once and replayed. For
    the same reason it does not count the steps: who launches them counts, in `count`.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        """The names of the terms."""
        self.losses = 0
        """The number of terms of the loss, which come first."""
        self.sums: Tensor | None = None
        """The sum (T,) of each term; None before the first step."""
        self.bad_step: Tensor | None = None
        """The first step (T,) at which each term was not finite, or 0; None before the first step."""
        self.count = 0
        """The number of steps in the sums."""

    def add(self, step: Tensor, terms: Terms) -> None:
        """Add the terms of a step (from 1; a 0-d integer on the device)."""
        values = [*terms.loss.values(), *terms.monitor.values()]
        detached = [at_least_float32(value.detach()) for value in values]
        value_T = torch.stack(detached)
        if self.sums is None or self.bad_step is None:
            self.names = [*terms.loss, *terms.monitor]
            self.losses = len(terms.loss)
            self.sums = torch.zeros_like(value_T)
            self.bad_step = torch.zeros_like(value_T, dtype=torch.long)
        self.sums += value_T

        newly_bad_T = (self.bad_step == 0) & ~value_T.isfinite()
        self.bad_step.copy_(torch.where(newly_bad_T, step, self.bad_step))

    def tensors(self) -> list[Tensor]:
        """The tensors that `add` writes to."""
        if self.sums is None or self.bad_step is None:
            return []
        return [self.sums, self.bad_step]

    def read(self, run: str) -> dict[str, float]:
        """Return the mean of each term and, as "loss", the sum of the loss terms. Then empty the window.

        RunError if a term of the loss was not finite; `run` says which run it is.
        """
        self.refuse_not_finite(run)
        assert self.sums is not None
        means = (self.sums / self.count).tolist()
        self.sums.zero_()
        self.count = 0
        by_name = dict(zip(self.names, means, strict=True))
        return {"loss": sum(means[: self.losses]), **by_name}

    def refuse_not_finite(self, run: str) -> None:
        """Raise RunError if a term of the loss was not finite. It names the first such term, and the step."""
        if self.bad_step is None:
            return
        losses = self.names[: self.losses]
        steps = zip(self.names, self.bad_step.tolist(), strict=True)
        bad_steps = {name: step for name, step in steps if step and name in losses}
        if not bad_steps:
            return
        first = min(bad_steps, key=lambda name: bad_steps[name])
        step = bad_steps[first]
        advice = "try a smaller learning rate"
        if step == 1:  # the learning rate has done nothing yet
            advice = (
                "no weight has been changed yet, so look at the objective's parameters: a temperature or a variance "
                "may be too close to 0"
            )
        raise RunError(f"the loss term '{first}' is not finite at step {step} of {run}; {advice}")

    def state(self) -> dict[str, Any]:
        """The part of a checkpoint that keeps the window."""
        return {
            "names": self.names,
            "losses": self.losses,
            "count": self.count,
            "sums": self.sums,
            "bad": self.bad_step,
        }

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Take up the window that `state` returned."""
        self.names = state["names"]
        self.losses = state["losses"]
        self.count = state["count"]
        if state["sums"] is not None:
            self.sums = state["sums"].to(device)
            self.bad_step = state["bad"].to(device)

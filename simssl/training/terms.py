"""Loss terms and monitors, summed on the device and read by the host once in a while."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from simssl.api import Terms
from simssl.errors import RunError


class TermWindow:
    """The terms since the last reading. `add` never makes the host wait for the device, nor does it count: it may be
    part of what is captured once and replayed."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.losses = 0
        self.sums: Tensor | None = None
        self.bad_step: Tensor | None = None  # of each term, the first step at which it was not finite, or 0
        self.count = 0

    def add(self, step: Tensor, terms: Terms) -> None:
        """Add the terms of a step (from 1; a 0-d integer on the device)."""
        values = torch.stack([t.detach().float() for t in (*terms.loss.values(), *terms.monitor.values())])
        if self.sums is None or self.bad_step is None:
            self.names, self.losses = [*terms.loss, *terms.monitor], len(terms.loss)
            self.sums, self.bad_step = torch.zeros_like(values), torch.zeros_like(values, dtype=torch.long)
        self.sums += values
        self.bad_step.copy_(torch.where((self.bad_step == 0) & ~values.isfinite(), step, self.bad_step))

    def tensors(self) -> list[Tensor]:
        """What `add` writes to."""
        return [tensor for tensor in (self.sums, self.bad_step) if tensor is not None]

    def read(self, run: str) -> dict[str, float]:
        """The mean of each term and, as "loss", the sum of the loss terms; then the window is empty."""
        self.refuse_not_finite(run)
        assert self.sums is not None
        means = (self.sums / self.count).tolist()
        self.sums.zero_()
        self.count = 0
        return {"loss": sum(means[: self.losses]), **dict(zip(self.names, means, strict=True))}

    def refuse_not_finite(self, run: str) -> None:
        """RunError naming the first term that was not finite, and the step."""
        if self.bad_step is None:
            return
        bad = {name: step for name, step in zip(self.names, self.bad_step.tolist(), strict=True) if step}
        losses = {name: step for name, step in bad.items() if name in self.names[: self.losses]}
        if losses:
            name = min(losses, key=lambda n: losses[n])
            raise RunError(
                f"the loss term '{name}' is not finite at step {losses[name]} of {run}; try a smaller learning rate"
            )

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the window."""
        return {
            "names": self.names,
            "losses": self.losses,
            "count": self.count,
            "sums": self.sums,
            "bad": self.bad_step,
        }

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        self.names, self.losses, self.count = state["names"], state["losses"], state["count"]
        if state["sums"] is not None:
            self.sums, self.bad_step = state["sums"].to(device), state["bad"].to(device)

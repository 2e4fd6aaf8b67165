"""LARS: layer-wise adaptive rate scaling (You et al. 2017), in the form that BYOL gives it (Grill et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class LARS(torch.optim.Optimizer):
    """The LARS optimiser. It moves each tensor w of weights, with gradient g, velocity v and learning rate lr:

        u = g + d w,   u = c |w| / |u| u (as it is if either norm is 0),   v = momentum v + u,   w = w - lr v

    Here d is the weight decay and c the trust coefficient. Tensors of one dimension (biases, weights of norms) are
    neither decayed nor adapted: u = g. The host never waits for the device.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 1e-3,
    ) -> None:
        settings = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
        }
        super().__init__(params, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move all weights that have a gradient."""
        assert closure is None, "LARS evaluates the loss once a step"
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group)
        return None

    def _move(self, weight: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        velocity = state["momentum_buffer"]
        velocity.mul_(group["momentum"])
        velocity.add_(_update(weight, group))
        weight.sub_(velocity * group["lr"])


def _update(weight: Tensor, group: dict[str, Any]) -> Tensor:
    """The update u of a tensor of weights that has its gradient."""
    assert weight.grad is not None
    if weight.ndim <= 1:
        return weight.grad
    update = weight.grad.add(weight, alpha=group["weight_decay"])
    weight_norm = weight.norm()
    update_norm = update.norm()
    ratio = group["trust_coefficient"] * weight_norm / update_norm
    adapts = (weight_norm > 0) & (update_norm > 0)
    return update * torch.where(adapts, ratio, 1.0)

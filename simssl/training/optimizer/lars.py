"""LARS: layer-wise adaptive rate scaling (You et al. 2017), in the form that BYOL gives it (Grill et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor


class LARS(torch.optim.Optimizer):
    """The LARS optimiser. It moves each tensor w of weights, with gradient g, velocity v and learning rate lr:

        u = g + d w,   u = c |w| / |u| u (as it is if either norm is 0),   v = momentum v + u,   w = w - lr v

    Here d is the weight decay and c the trust coefficient. Tensors of one dimension (biases, weights of norms) are
    neither decayed nor adapted: u = g. With `clipped` the factor is min(c |w| / |u| / lr, 1), so that a tensor's own
    rate is at most lr (LARC, in NVIDIA's apex). The host never waits for the device.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 1e-3,
        clipped: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "clipped": clipped,
        }
        super().__init__(params, settings)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up a state, which may be older than `clipped`."""
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("clipped", False)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move all weights that have a gradient."""
        assert closure is None, "LARS evaluates the loss once a step"
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._move(weights, group)
        return None

    def _move(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        adapted = [weight for weight in weights if weight.ndim > 1]
        others = [weight for weight in weights if weight.ndim <= 1]
        moved = [*adapted, *others]
        updates = [*_adapted_updates(adapted, group), *_gradients(others)]
        velocities = [self._velocity(weight) for weight in moved]
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, updates)
        torch._foreach_sub_(moved, torch._foreach_mul(velocities, group["lr"]))

    def _velocity(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        velocity: Tensor = state["momentum_buffer"]
        return velocity


def _gradients(weights: list[Tensor]) -> list[Tensor]:
    return [weight.grad for weight in weights if weight.grad is not None]


def _adapted_updates(weights: list[Tensor], group: dict[str, Any]) -> Sequence[Tensor]:
    """The updates u of tensors of weights that are decayed and adapted. L counts them.

    Each has a factor of its own. CUDA multiplies by them in one launch a tensor, and does the rest in few for all.
    """
    if not weights:
        return []
    updates = torch._foreach_add(_gradients(weights), weights, alpha=group["weight_decay"])
    weight_norm_L = torch.stack(torch._foreach_norm(weights))
    update_norm_L = torch.stack(torch._foreach_norm(updates))
    ratio_L = group["trust_coefficient"] * weight_norm_L / update_norm_L
    if group["clipped"]:
        ratio_L = (ratio_L / group["lr"]).clamp(max=1)
    adapts_L = (weight_norm_L > 0) & (update_norm_L > 0)
    factor_L = torch.where(adapts_L, ratio_L, 1.0)
    torch._foreach_mul_(updates, factor_L.unbind())
    return updates

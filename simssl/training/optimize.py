"""The optimiser, the clipping of its gradient, and the learning rate's schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from simssl.experiment.settings import Optimizer, Schedule
from simssl.training.lars import LARS

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "sgd": partial(torch.optim.SGD, fused=True),
    "lars": LARS,
}
"""By the name in the settings, whose other fields are the arguments."""


def build_optimizer(settings: Optimizer, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimiser of these parameter groups, each of which remembers its own learning rate as `initial_lr`."""
    optimizer = OPTIMIZERS[settings.name](groups, **settings.model_dump(exclude={"name"}))
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def forget(optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter]) -> None:
    """Set the optimiser's state of these parameters (averages, counts) to zero, in place."""
    for parameter in parameters:
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor):
                value.zero_()


def clip_gradient(optimizer: torch.optim.Optimizer, norm: float | None) -> None:
    """Shorten the gradient of all parameters together to this norm, if it is longer; the host does not wait."""
    if norm is not None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, norm)


def set_learning_rate(optimizer: torch.optim.Optimizer, schedule: Schedule, step: int, steps: int) -> None:
    """Give every group its learning rate for a step (from 0)."""
    factor = learning_rate_factor(schedule, step, steps)
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def learning_rate_factor(schedule: Schedule, step: int, steps: int) -> float:
    """What the learning rate is multiplied by at a step (from 0)."""
    warmup = round(schedule.warmup * steps)
    if step < warmup:
        return (step + 1) / warmup
    if schedule.name == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

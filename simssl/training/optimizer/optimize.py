"""The optimiser, the clipping of its gradient, and the learning rate's schedule.

S counts the steps of a run; a table of a rate that never changes has one entry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simssl.blocks.internals import allow_eager_steps
from simssl.experiment.settings import Optimizer, Schedule
from simssl.training.optimizer.lars import LARS

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "sgd": partial(torch.optim.SGD, fused=True),
    "lars": LARS,
}
"""The optimisers by their name in the settings. The other fields of the settings are the arguments."""


def build_optimizer(settings: Optimizer, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Return the optimiser of these parameter groups. Each group keeps its own learning rate as `initial_lr`."""
    arguments = settings.model_dump(exclude={"name"})
    optimizer = OPTIMIZERS[settings.name](groups, **arguments)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
        if "capturable" in group:
            on_cuda = any(weight.is_cuda for weight in group["params"])
            group["capturable"] = on_cuda
    allow_eager_steps(optimizer)
    return optimizer


def forget(optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter]) -> None:
    """Set the optimiser's state of these parameters (averages, counts) to zero, in place."""
    for parameter in parameters:
        state = optimizer.state.get(parameter, {})
        for value in state.values():
            if isinstance(value, Tensor):
                value.zero_()


def clip_gradient(optimizer: torch.optim.Optimizer, norm: float | None) -> None:
    """Shorten the gradient of all parameters together to this norm, if it is longer. The host does not wait."""
    if norm is None:
        return
    parameters: list[nn.Parameter] = []
    for group in optimizer.param_groups:
        parameters += group["params"]
    torch.nn.utils.clip_grad_norm_(parameters, norm)


class LearningRates:
    """The learning rate of every parameter group at every step, in a table on the device.

    The host fills the table once, with `initial_lr` times `learning_rate_factor`. It is in float64 on a CPU. On CUDA it
    is rounded to float32, the only type of which the fused optimisers take a rate from the device.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, schedule: Schedule, steps: int, device: torch.device) -> None:
        varies = schedule.name != "constant" or schedule.warmup > 0
        count = steps if varies else 1
        factors = (learning_rate_factor(schedule, step, steps) for step in range(count))
        factor_S = torch.from_numpy(np.fromiter(factors, np.float64, count))
        dtype = torch.float32 if device.type == "cuda" else torch.float64
        self._optimizer = optimizer
        self._tables: list[Tensor] = []
        self._rates: list[Tensor] = []
        for group in optimizer.param_groups:
            rate_S = (factor_S * group["initial_lr"]).to(device, dtype)
            self._tables.append(rate_S)
            self._rates.append(rate_S[:1].clone())
        self.attach()

    def attach(self) -> None:
        """Give the optimiser its learning rates. This is due when it is built, and when it has loaded a state."""
        for group, rate_1 in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate_1.view(())

    def look_up(self, step: Tensor) -> None:
        """Give every group its learning rate for a step (from 0; a 0-d integer on the device)."""
        for rate_S, rate_1 in zip(self._tables, self._rates, strict=True):
            if len(rate_S) > 1:
                torch.index_select(rate_S, 0, step.view(1), out=rate_1)


def learning_rate_factor(schedule: Schedule, step: int, steps: int) -> float:
    """The factor of the learning rate at a step (from 0)."""
    warmup = round(schedule.warmup * steps)
    if step < warmup:
        return (step + 1) / warmup
    if schedule.name == "constant":
        return 1.0
    steps_after_warmup = max(1, steps - warmup)
    angle = math.pi * (step - warmup) / steps_after_warmup
    return 0.5 * (1 + math.cos(angle))

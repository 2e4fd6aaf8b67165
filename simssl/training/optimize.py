"""The optimiser and the learning rate's schedule."""

from __future__ import annotations

import math
from typing import Any

import torch

from simssl.experiment.settings import Optimizer, Schedule


def build_optimizer(settings: Optimizer, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The fused optimiser of these parameter groups; each remembers its own learning rate as `initial_lr`."""
    optimizer = torch.optim.Adam(
        groups,
        lr=settings.lr,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


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

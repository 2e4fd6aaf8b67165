"""Teacher networks: a copy that follows its student as an exponential moving average."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from simssl.blocks.internals import BatchNorm, copy_each, move_towards


class Teacher(nn.Module):
    """An exponential moving average of a student network, without gradients, which starts as its copy.

    Parameters and floating-point buffers (running statistics) move; other buffers are copied. They move by
    `update` alone: in training, the teacher's batch norm normalises by the batch's statistics, as the student's
    does, and leaves the running ones as they are.
    """

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self._student = (student,)  # a tuple, so that it is no submodule and its weights are not saved twice
        self.network = copy.deepcopy(student).requires_grad_(False)
        for module in self.network.modules():
            if isinstance(module, BatchNorm):
                module.momentum = 0.0

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """The output that the student would have with the averaged weights."""
        y: Tensor = self.network(x)
        return y

    @torch.no_grad()
    def update(self, momentum: float | Tensor) -> None:
        """Become momentum * teacher + (1 - momentum) * student; a tensor is 0-d and on the device."""
        moving: list[Tensor] = []
        targets: list[Tensor] = []
        counters: list[Tensor] = []
        counts: list[Tensor] = []
        teachers = _state(self.network)
        students = _state(self._student[0])
        for teacher, student in zip(teachers, students, strict=True):
            if teacher.is_floating_point():
                moving.append(teacher)
                targets.append(student)
            else:
                counters.append(teacher)
                counts.append(student)
        move_towards(moving, targets, 1 - momentum)
        copy_each(counters, counts)


def _state(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def cosine_momentum(base: float, progress: Tensor, final: float = 1.0) -> Tensor:
    """A momentum that goes from `base` to `final` along a half cosine (Grill et al. 2020, to 1), a 0-d tensor.

    final - (final - base) (cos(pi progress) + 1) / 2, with `progress` a 0-d tensor in [0, 1].
    """
    cosine = (math.pi * progress).cos()
    return final - (final - base) * (cosine + 1) / 2

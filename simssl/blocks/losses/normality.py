"""How far a batch is from a sample of N(0, I), seen along random directions (Balestriero & LeCun 2025).

M counts directions, T the knots at which characteristic functions are compared.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

LARGEST = 3.0
"""The characteristic functions are compared from 0 to here. Source: the authors' code."""
KNOTS = 17
STEP = LARGEST / (KNOTS - 1)


def sigreg(z_BD: Tensor, directions_DM: Tensor) -> Tensor:
    """The mean of `epps_pulley` over the batch's projections on the directions, a 0-d tensor.

    Sketched isotropic Gaussian regularisation: 0 only for a batch that is N(0, 1) along each of them. Source:
    Balestriero & LeCun 2025, and their code. In the precision of the batch, under autocast too.
    """
    with torch.autocast(z_BD.device.type, enabled=False):
        return epps_pulley(z_BD @ directions_DM).mean()


def epps_pulley(x_BM: Tensor) -> Tensor:
    """The statistic (M,) of Epps & Pulley 1983 for each column being a sample of N(0, 1).

    B integral_{-3}^{3} |phi_B(t) - exp(-t^2/2)|^2 exp(-t^2/2) dt, with phi_B(t) = mean_b exp(i t x_b), by the
    trapezoidal rule on 17 knots of [0, 3], doubled. Its mean over samples of N(0, 1) does not depend on B.
    """
    statistic_M: Tensor = _EppsPulley.apply(x_BM)
    return statistic_M


class _EppsPulley(torch.autograd.Function):
    """The statistic, with its gradient computed on the way: (B, M) numbers are kept, and not those of every knot."""

    @staticmethod
    def forward(ctx: Any, x_BM: Tensor) -> Tensor:
        gradient_BM = torch.zeros_like(x_BM)
        distance_M = x_BM.new_zeros(x_BM.shape[1])
        for knot in range(1, KNOTS):
            t = knot * STEP
            weight = _weight(knot)
            angle_BM = t * x_BM
            cos_BM = angle_BM.cos()
            sin_BM = angle_BM.sin()
            real_M = cos_BM.mean(0) - _normal(t)
            imaginary_M = sin_BM.mean(0)
            distance_M += weight * (real_M.square() + imaginary_M.square())
            gradient_BM += 2 * weight * t * (imaginary_M * cos_BM - real_M * sin_BM)
        ctx.save_for_backward(gradient_BM)
        return len(x_BM) * distance_M

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient_BM,) = ctx.saved_tensors
        return gradient_BM * gradients[0]


def _normal(t: float) -> float:
    """The characteristic function of N(0, 1)."""
    return math.exp(-(t**2) / 2)


def _weight(knot: int) -> float:
    """That of a knot in the integral over both half lines. At 0 all characteristic functions are 1."""
    share = 0.5 if knot == KNOTS - 1 else 1.0
    return 2 * share * STEP * _normal(knot * STEP)


def random_directions(like_BD: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Directions (D, M) of length 1, drawn uniformly, of the type and on the device of the rows."""
    D = like_BD.shape[1]
    normal_DM = like_BD.new_empty(D, count).normal_(generator=generator)
    return F.normalize(normal_DM, dim=0)

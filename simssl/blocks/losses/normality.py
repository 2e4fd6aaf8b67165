"""How far a batch is from a sample of N(0, I), seen along random directions (Balestriero & LeCun 2025).

M counts directions, T the knots at which characteristic functions are compared.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST = 3.0
"""The characteristic functions are compared from 0 to here. Source: the authors' code."""
KNOTS = 17


def sigreg(z_BD: Tensor, directions_DM: Tensor) -> Tensor:
    """The mean of `epps_pulley` over the batch's projections on the directions, a 0-d tensor.

    Sketched isotropic Gaussian regularisation: 0 only for a batch that is N(0, 1) along each of them. Source:
    Balestriero & LeCun 2025, section 4, and their code. In the precision of the batch, under autocast too.
    """
    with torch.autocast(z_BD.device.type, enabled=False):
        return epps_pulley(z_BD @ directions_DM).mean()


def epps_pulley(x_BM: Tensor) -> Tensor:
    """The statistic (M,) of Epps & Pulley 1983 for each column being a sample of N(0, 1).

    B integral_{-3}^{3} |phi_B(t) - exp(-t^2/2)|^2 exp(-t^2/2) dt, with phi_B(t) = mean_b exp(i t x_b), by the
    trapezoidal rule on 17 knots of [0, 3], doubled. Its mean over samples of N(0, 1) does not depend on B.
    """
    B = len(x_BM)
    t_T = torch.linspace(0, LARGEST, KNOTS, dtype=x_BM.dtype, device=x_BM.device)
    normal_T = (-t_T.square() / 2).exp()
    angle_BMT = x_BM[:, :, None] * t_T
    real_MT = angle_BMT.cos().mean(0) - normal_T
    imaginary_MT = angle_BMT.sin().mean(0)
    distance_MT = real_MT.square() + imaginary_MT.square()
    half_line_M = torch.trapezoid(distance_MT * normal_T, dx=LARGEST / (KNOTS - 1), dim=1)
    return 2 * B * half_line_M


def random_directions(like_BD: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Directions (D, M) of length 1, drawn uniformly, of the type and on the device of the rows."""
    D = like_BD.shape[1]
    normal_DM = like_BD.new_empty(D, count).normal_(generator=generator)
    return F.normalize(normal_DM, dim=0)

"""Second moments of a batch, and penalties on them, which keep a representation from collapsing."""

from __future__ import annotations

import torch
from torch import Tensor


def variance_hinge(z_BD: Tensor, epsilon: float = 1e-4) -> Tensor:
    """mean_d relu(1 - sqrt(var_d + epsilon)), var_d unbiased: 0-d; 0 where every column has a deviation of 1.

    Source: Bardes et al. 2022, eq. 1. In the precision of its input.
    """
    deviation_D = (z_BD.var(0) + epsilon).sqrt()
    return (1 - deviation_D).relu().mean()


def covariance_penalty(z_BD: Tensor) -> Tensor:
    """1/D sum_{d != e} cov_de^2, with cov over B - 1: 0-d; 0 where no two columns are correlated.

    Source: Bardes et al. 2022, eq. 3 and 4. The products are taken in float64, which neither autocast nor TF32 rounds.
    """
    B, D = z_BD.shape
    centred_BD = (z_BD - z_BD.mean(0)).double()
    covariance_DD = (centred_BD.T @ centred_BD / (B - 1)).to(z_BD.dtype)
    diagonal_DD = torch.eye(D, dtype=torch.bool, device=z_BD.device)
    off_diagonal_DD = covariance_DD.masked_fill(diagonal_DD, 0)
    return off_diagonal_DD.square().sum() / D


def cross_correlation(za_BD: Tensor, zb_BD: Tensor, epsilon: float = 1e-5) -> Tensor:
    """The correlations (D, D) of the columns of one view (rows) with those of the other, from -1 to 1.

    Each view is standardised by itself, its variances over B and with `epsilon` added, as batch norm does. Source:
    Zbontar et al. 2021, eq. 2, and their code. The products are taken in float64, as those of `covariance_penalty`.
    """
    a_BD = _standardised(za_BD, epsilon).double()
    b_BD = _standardised(zb_BD, epsilon).double()
    return (a_BD.T @ b_BD / len(za_BD)).to(za_BD.dtype)


def _standardised(z_BD: Tensor, epsilon: float) -> Tensor:
    variance_D = z_BD.var(0, correction=0)
    return (z_BD - z_BD.mean(0)) / (variance_D + epsilon).sqrt()

"""Densities, entropies and divergences of Gaussians with diagonal covariance, in nats."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from simssl.blocks.distributed import draw_rows

LOG_2PI = math.log(2 * math.pi)


def log_normal(x: Tensor, mean: Tensor | float, variance: Tensor | float) -> Tensor:
    """log N(x; mean, variance), elementwise: -1/2 [log(2 pi v) + (x - m)^2 / v]."""
    log_variance = variance.log() if isinstance(variance, Tensor) else math.log(variance)
    return -0.5 * (LOG_2PI + log_variance + (x - mean).square() / variance)


def gaussian_entropy(log_variance: Tensor) -> Tensor:
    """H[N(m, v)] = 1/2 sum_d (1 + log 2 pi + log v_d): (..., D) -> (...)."""
    return 0.5 * (1 + LOG_2PI + log_variance).sum(-1)


def negative_entropy(log_variance_BD: Tensor) -> Tensor:
    """-`gaussian_entropy`, averaged over the B rows: a 0-d tensor, in few operations."""
    B, D = log_variance_BD.shape
    constant = 0.5 * D * (1 + LOG_2PI)
    return torch.rsub(log_variance_BD.sum(), -constant, alpha=0.5 / B)


def kl_standard(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(m, v) || N(0, I)) = 1/2 sum_d (m_d^2 + v_d - 1 - log v_d): (..., D) -> (...)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


def kl_between(mean: Tensor, log_variance: Tensor, to_mean: Tensor, to_log_variance: Tensor) -> Tensor:
    """KL(N(m, v) || N(m', v')) = 1/2 sum_d [log(v'/v) + (v + (m - m')^2) / v' - 1]: (..., D) -> (...)."""
    ratio = (log_variance - to_log_variance).exp()
    distance = (mean - to_mean).square() * (-to_log_variance).exp()
    return 0.5 * (to_log_variance - log_variance + ratio + distance - 1).sum(-1)


def reparameterize(mean: Tensor, log_variance: Tensor, generator: torch.Generator | None) -> Tensor:
    """A sample of N(mean, exp(log_variance)), differentiable in both (Kingma & Welling 2014)."""
    noise = draw_rows(len(mean), lambda rows: mean.new_empty(rows, *mean.shape[1:]).normal_(generator=generator))
    return mean + noise * (0.5 * log_variance).exp()


def log_shared_mean(z_BJD: Tensor, sigma2: float, gamma2: float | None = None) -> Tensor:
    """Log density (B,) of J samples N(psi, sigma2 I) of one mean psi that is integrated out.

    With `gamma2=None` psi is uniform, and what is left is the density of the differences (0 for J = 1):
    -(J-1)/2 log(2 pi sigma2) - 1/2 log J - S/(2 sigma2) per dimension, S = sum_j (z_j - zbar)^2.
    Else psi ~ N(0, gamma2 I), and the density is N(0, sigma2 I + gamma2 11^T) over the J samples of each
    dimension. Source: Bizeul et al. 2024, the prior term of ELBO_SSL.
    """
    spread_B, square_B = _spread(z_BJD)
    return _log_shared_mean(spread_B, square_B, z_BJD.shape, sigma2, gamma2)


def shared_mean_nll(z_BJD: Tensor, sigma2: float, gamma2: float | None = None) -> Tensor:
    """-`log_shared_mean`, averaged over the B rows: a 0-d tensor, in few operations."""
    nll: Tensor = _SharedMeanNll.apply(z_BJD, sigma2, gamma2)
    return nll


class _SharedMeanNll(torch.autograd.Function):
    """S / sigma2 + J zbar^2 / (sigma2 + J gamma2) is the square of one tensor, (z - k zbar) / sigma, for

        k = 1 - sqrt(sigma2 / (sigma2 + J gamma2)),

    and 1 for a uniform psi. Its gradient is 2 (z - (1 - (1 - k)^2) zbar) / sigma2.
    """

    @staticmethod
    def forward(ctx: Any, z_BJD: Tensor, sigma2: float, gamma2: float | None) -> Tensor:
        B, J, _ = z_BJD.shape
        share = 0.0 if gamma2 is None else sigma2 / (sigma2 + J * gamma2)
        zbar_B1D = z_BJD.mean(1, keepdim=True)
        shrunk_B1D = zbar_B1D * (1 - math.sqrt(share))
        square = F.mse_loss(z_BJD, shrunk_B1D.expand_as(z_BJD), reduction="sum")
        ctx.save_for_backward(z_BJD)
        ctx.share = share
        ctx.scale = 1 / (B * sigma2)
        return square * (0.5 * ctx.scale) + 0.5 * _log_determinant(z_BJD.shape, sigma2, gamma2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (z_BJD,) = ctx.saved_tensors
        away_BJD = torch.sub(z_BJD, z_BJD.mean(1, keepdim=True), alpha=1 - ctx.share)
        return away_BJD * (gradients[0] * ctx.scale), None, None


def expected_log_shared_mean(
    mean_BJD: Tensor, log_variance_BJD: Tensor, sigma2: float, gamma2: float | None = None
) -> Tensor:
    """The expectation (B,) of `log_shared_mean` over z_j ~ N(mean_j, exp(log_variance_j)), in closed form.

    E S = sum_j (m_j - mbar)^2 + (1 - 1/J) sum_j v_j and E zbar^2 = mbar^2 + sum_j v_j / J^2.
    """
    J = mean_BJD.shape[1]
    spread_B, square_B = _spread(mean_BJD)
    variance_B = log_variance_BJD.exp().sum((1, 2))
    spread_B = spread_B + (1 - 1 / J) * variance_B
    square_B = square_B + variance_B / J**2
    return _log_shared_mean(spread_B, square_B, mean_BJD.shape, sigma2, gamma2)


def _spread(z_BJD: Tensor) -> tuple[Tensor, Tensor]:
    """S and zbar^2, each summed over the latent dimensions: (B,), (B,)."""
    mean_B1D = z_BJD.mean(1, keepdim=True)
    spread_B = (z_BJD - mean_B1D).square().sum((1, 2))
    square_B = mean_B1D.square().sum((1, 2))
    return spread_B, square_B


def _log_shared_mean(
    spread_B: Tensor, square_B: Tensor, shape: torch.Size, sigma2: float, gamma2: float | None
) -> Tensor:
    """`log_shared_mean` of the statistics that it depends on, which `_spread` gives."""
    constant = _log_determinant(shape, sigma2, gamma2)
    if gamma2 is None:
        return -0.5 * (constant + spread_B / sigma2)
    J = shape[1]
    total = sigma2 + J * gamma2
    return -0.5 * (constant + spread_B / sigma2 + J * square_B / total)


def _log_determinant(shape: torch.Size, sigma2: float, gamma2: float | None) -> float:
    """log |2 pi C|, C the covariance of the J samples in all D dimensions; for a uniform psi of their differences."""
    _, J, D = shape
    differences = (J - 1) * (LOG_2PI + math.log(sigma2))
    if gamma2 is None:
        return D * (differences + math.log(J))
    return D * (differences + LOG_2PI + math.log(sigma2 + J * gamma2))

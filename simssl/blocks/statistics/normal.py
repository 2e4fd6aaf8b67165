"""The Gaussian with the mean and the covariance of some rows: fitted, and drawn from."""

from __future__ import annotations

import torch
from torch import Tensor


def moments(z_ND: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (D,) of the rows and their full, unbiased covariance (D, D), in float64."""
    z_ND = z_ND.double()
    D = z_ND.shape[1]
    covariance_DD = z_ND.T.cov().view(D, D)  # of one column, torch gives a number
    return z_ND.mean(0), covariance_DD


def sample_normal(mean_D: Tensor, covariance_DD: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Samples (count, D) of a Gaussian whose covariance may be singular."""
    values_D, vectors_DD = torch.linalg.eigh(covariance_DD)
    scaled_DD = vectors_DD * values_D.clamp(min=0).sqrt()
    root_DD = scaled_DD @ vectors_DD.T  # the symmetric root, which is unique
    noise_ND = mean_D.new_empty(count, len(mean_D)).normal_(generator=generator)
    return mean_D + noise_ND @ root_DD

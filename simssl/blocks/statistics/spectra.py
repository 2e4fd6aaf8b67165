"""Spectra of representations: measures of their quality that need no labels. RankMe, LiDAR and alpha-ReQ.

All in float64. z_ND are the representations of N images, z_IJD those of J views of each of I images; K counts
eigenvalues.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

EPSILON = 1e-7
"""What is added to each share of a spectrum. Source: Garrido et al. 2023, eq. 2, and Thilak et al. 2024, eq. 4."""

DELTA = 1e-4
"""What is added to the diagonal of the covariance within images. Source: Thilak et al. 2024, eq. 2."""

FIRST_RANK = 4
LAST_RANK = 100
"""The eigenvalues that alpha-ReQ fits its line to, from 1. Source: the authors' code, whose range(3, 100) is from 0."""

FEWEST = 3
"""Fewest eigenvalues that it is fitted to. Ours."""

ZERO = 1e-12
"""The share of the largest eigenvalue at which another counts as 0: what float32 rounds. Ours."""

BLOCK = 10_000
"""Rows that are in float64 at once."""


CONSTANT = "all images have the same representation"
FEW = "it is fitted to the eigenvalues from the fourth on, of which fewer than three are above 0"


@dataclass(frozen=True)
class LabelFree:
    """A measure that needs no labels. If `value` is not a number, `reason` says why."""

    value: float
    unit: str
    better: Literal["higher"] | None
    reason: str


def label_free(z_ND: Tensor, z_IJD: Tensor | None) -> dict[str, LabelFree]:
    """RankMe and alpha-ReQ of images, and LiDAR of views, by name. Without views LiDAR is left out."""
    measures = {
        "rankme": LabelFree(rankme(z_ND), "dimensions", "higher", CONSTANT),
        "alpha_req": LabelFree(alpha_req(z_ND), "exponent", None, FEW),
    }
    if z_IJD is not None:
        measures["lidar"] = LabelFree(lidar(z_IJD), "dimensions", "higher", CONSTANT)
    return measures


def rankme(z_ND: Tensor) -> float:
    """exp(-sum_k p_k log p_k), p_k = s_k / sum s + 1e-7, of the singular values s of the matrix as it is: 1 to D.

    Source: Garrido et al. 2023, eq. 1 and 2. It is `effective_rank` without centring. Not a number if all is 0.
    """
    squares_D = torch.linalg.eigvalsh(_second_moments(z_ND))
    return _perplexity(squares_D.clamp(min=0).sqrt())


def lidar(z_IJD: Tensor) -> float:
    """The same of the eigenvalues of S_w^-1/2 S_b S_w^-1/2: the rank of what linear discriminant analysis finds.

    Its classes are the images, their members the views: S_b is the covariance of the images' means, and S_w that within
    images, with 1e-4 on its diagonal. Source: Thilak et al. 2024, eq. 1 to 4. Not a number if all images have one mean.
    """
    z_IJD = z_IJD.double()
    mean_ID = z_IJD.mean(1)
    within_MD = (z_IJD - mean_ID[:, None]).flatten(0, 1)
    between_ID = mean_ID - mean_ID.mean(0)
    within_DD = within_MD.T @ within_MD / len(within_MD)
    between_DD = between_ID.T @ between_ID / len(between_ID)
    within_D, axes_DD = torch.linalg.eigh(within_DD)
    scaled_DD = axes_DD / (within_D.clamp(min=0) + DELTA).sqrt()  # below 0 they are rounded
    whitened_DD = scaled_DD.T @ between_DD @ scaled_DD
    return _perplexity(torch.linalg.eigvalsh(whitened_DD).clamp(min=0))


def alpha_req(z_ND: Tensor) -> float:
    """The exponent alpha of the decay k^-alpha of the covariance's eigenvalues, by a line through their logarithms.

    The line is fitted to the eigenvalues 4 to 100, the k-th with weight 1 / k, by least squares. Source: Agrawal et al.
    2022, section 3, and the authors' code. Not a number where fewer than 3 of these eigenvalues are above 0.
    """
    mean_D = z_ND.double().mean(0)
    covariance_DD = _second_moments(z_ND) / len(z_ND) - mean_D[:, None] * mean_D
    eigenvalues_K = torch.linalg.eigvalsh(covariance_DD).flip(0)
    positive_K = eigenvalues_K[eigenvalues_K > ZERO * eigenvalues_K[0]]
    fitted_K = positive_K[FIRST_RANK - 1 : LAST_RANK]
    if len(fitted_K) < FEWEST:
        return math.nan
    rank_K = torch.arange(len(fitted_K), device=z_ND.device, dtype=torch.float64) + FIRST_RANK
    weight_K = (1 / rank_K) / (1 / rank_K).sum()
    x_K = rank_K.log() - (weight_K * rank_K.log()).sum()
    slope = (weight_K * x_K * fitted_K.log()).sum() / (weight_K * x_K.square()).sum()
    return -float(slope)


def _second_moments(z_ND: Tensor) -> Tensor:
    """The sum of z z^T over the rows (D, D)."""
    D = z_ND.shape[1]
    sum_DD = z_ND.new_zeros(D, D, dtype=torch.float64)
    for z_BD in z_ND.split(BLOCK):
        z_BD = z_BD.double()
        sum_DD += z_BD.T @ z_BD
    return sum_DD


def _perplexity(spectrum_K: Tensor) -> float:
    """The exponential of the entropy of a spectrum's shares."""
    p_K = spectrum_K / spectrum_K.sum() + EPSILON
    return float(torch.special.entr(p_K).sum().exp())

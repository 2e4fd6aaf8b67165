"""Principal components of rows that come batch by batch, in float64.

P counts the columns of the rows, and K the directions that are asked for or kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

EXACT = 4096
"""Most columns whose covariance is accumulated whole (128 MiB); its eigenvectors take some seconds."""

SPARE = 256
"""Directions that are kept between batches beside those asked for, where there are more columns. Ours."""


@dataclass(frozen=True)
class PrincipalComponents:
    """The mean and the first K principal components of rows in P columns, those of largest variance first.

    Each direction has length 1; its entry of largest magnitude is positive. Variances are unbiased.
    """

    mean_P: Tensor
    directions_KP: Tensor
    variances_K: Tensor

    def project(self, x_NP: Tensor) -> Tensor:
        """The coordinates (N, K) of rows, in the precision of the components."""
        centred_NP = x_NP.to(self.mean_P.dtype) - self.mean_P
        return centred_NP @ self.directions_KP.T

    def whiten(self, x_NP: Tensor, least: float = 1e-8) -> Tensor:
        """The coordinates (N, K) of rows scaled to variance 1; a variance is taken to be `least` or more."""
        scale_K = self.variances_K.clamp(min=least).rsqrt()
        return self.project(x_NP) * scale_K


def principal_components(batches: Iterable[Tensor], count: int) -> PrincipalComponents:
    """The first `count` components of all rows (B, P), in one pass.

    Exact up to 4,096 columns. Beyond, where a covariance would not be affordable (64 x 64 x 3 pixels: 1.2 GB), each
    batch is merged into the largest count + 256 directions of what came before (Ross et al. 2008).
    """
    moments: _Exact | _Truncated | None = None
    for x_BP in batches:
        x_BP = x_BP.double()
        if moments is None:
            is_exact = x_BP.shape[1] <= EXACT
            moments = _Exact(x_BP) if is_exact else _Truncated(x_BP, count + SPARE)
        moments.add(x_BP)
    if moments is None or count > min(moments.rows, len(moments.mean_P)):
        raise ValueError(f"there are no {count} principal components: there must be as many rows, and columns")
    scatter_K, directions_KP = moments.largest(count)
    column_K1 = directions_KP.abs().argmax(1, keepdim=True)
    largest_K1 = directions_KP.gather(1, column_K1)
    directions_KP = directions_KP * largest_K1.sign()
    variances_K = scatter_K / max(1, moments.rows - 1)
    return PrincipalComponents(moments.mean_P, directions_KP, variances_K)


class _Exact:
    """Sum and sum of products of all rows, about the first batch's mean."""

    def __init__(self, first_BP: Tensor) -> None:
        P = first_BP.shape[1]
        self.rows = 0
        self.shift_P = first_BP.mean(0)
        self.sum_P = first_BP.new_zeros(P)
        self.products_PP = first_BP.new_zeros(P, P)

    def add(self, x_BP: Tensor) -> None:
        x_BP = x_BP - self.shift_P
        self.rows += len(x_BP)
        self.sum_P += x_BP.sum(0)
        self.products_PP.addmm_(x_BP.T, x_BP)

    @property
    def mean_P(self) -> Tensor:
        return self.shift_P + self.sum_P / self.rows

    def largest(self, count: int) -> tuple[Tensor, Tensor]:
        """The largest eigenvalues (K,) of the scatter matrix, and their directions (K, P)."""
        of_sums_PP = torch.outer(self.sum_P, self.sum_P)
        scatter_PP = self.products_PP - of_sums_PP / self.rows
        values_P, vectors_PP = torch.linalg.eigh(scatter_PP)
        values_K = values_P.flip(0)[:count].clamp(min=0)
        directions_KP = vectors_PP.T.flip(0)[:count]
        return values_K, directions_KP


class _Truncated:
    """A few rows (K, P) with nearly the scatter matrix of all rows.

    They are its largest directions, scaled by the roots of its eigenvalues.
    """

    def __init__(self, first_BP: Tensor, keep: int) -> None:
        self.rows = 0
        self.keep = keep
        self.mean_P = first_BP.new_zeros(first_BP.shape[1])
        self.kept_KP = first_BP[:0]

    def add(self, x_BP: Tensor) -> None:
        B = len(x_BP)
        mean_P = x_BP.mean(0)
        both = self.rows + B
        weight = self.rows * B / both
        between_1P = weight**0.5 * (mean_P - self.mean_P)[None]
        self.mean_P = (self.rows * self.mean_P + B * mean_P) / both
        self.rows = both
        self.kept_KP = torch.cat([self.kept_KP, x_BP - mean_P, between_1P])
        values_K, directions_KP = self.largest(self.keep)
        self.kept_KP = values_K.sqrt()[:, None] * directions_KP

    def largest(self, count: int) -> tuple[Tensor, Tensor]:
        """The same as `_Exact.largest`, from the products of the kept rows, which are fewer than the columns."""
        products_KK = self.kept_KP @ self.kept_KP.T
        values_K, vectors_KK = torch.linalg.eigh(products_KK)
        values_K = values_K.flip(0)[:count].clamp(min=0)
        vectors_KK = vectors_KK.flip(1)[:, :count]
        directions_KP = F.normalize(vectors_KK.T @ self.kept_KP, dim=1)
        return values_K, directions_KP

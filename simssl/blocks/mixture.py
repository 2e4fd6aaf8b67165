"""Gaussian mixtures with full covariances, fitted by EM (Dempster, Laird & Rubin 1977) from many starts at once.

The log density of a Gaussian is linear in the statistics 1, x and x x^T of a row. So an iteration of EM, for all
components of all starts, is two matrix products and the softmax between them, on blocks of rows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from simssl.blocks.kmeans import kmeans

REGULARISATION = 1e-6
"""Added to the diagonal of the covariances, in units of the mean variance of the columns. scikit-learn's number."""

ITERATIONS, TOLERANCE = 100, 1e-3
"""At most so many, until the mean log likelihood changes by less (in nats). scikit-learn's numbers."""

BLOCK, LEAST = 2**19, 256
"""Numbers in the statistics or the densities of a block of rows; and the rows that it has in any case."""

TOGETHER = 2**24
"""Numbers in the covariances of the starts that are fitted at once."""


@dataclass(frozen=True)
class Mixture:
    """K components: the coefficients of their log densities, weights included, in the Q statistics of a row."""

    coefficients_KQ: Tensor
    log_likelihood: float
    """The mean over the rows that it was fitted on, in nats, before the last iteration's maximisation."""
    iterations: int
    converged: bool
    shift_D: Tensor
    scale: Tensor

    def predict(self, x_ND: Tensor) -> Tensor:
        """The likeliest component (N,) of each row."""
        blocks = _blocks((x_ND.double() - self.shift_D) / self.scale, len(self.coefficients_KQ))
        return torch.cat([(self.coefficients_KQ @ statistics_QB).argmax(0) for _, statistics_QB in blocks])


def fit_mixture(x_ND: Tensor, components: int, starts: int, generator: torch.Generator) -> Mixture:
    """The likeliest of the mixtures that EM finds, each from a k-means clustering; in float64, on the device.

    Rows that are all alike have a mixture too, of one component that takes them all.
    """
    shift_D = x_ND.double().mean(0)
    rows_ND = x_ND.double() - shift_D
    scale = rows_ND.square().mean().sqrt()
    scale = torch.where(scale > 0, scale, 1)
    rows_ND /= scale
    clusters_SN = torch.stack([kmeans(rows_ND.float(), components, generator)[0] for _ in range(starts)])
    together = max(1, TOGETHER // (components * rows_ND.shape[1] ** 2))
    fits = [_EM(rows_ND, part_SN, components) for part_SN in clusters_SN.split(together)]
    best = max(fits, key=lambda fit: float(fit.log_likelihood_S.max()))
    s = int(best.log_likelihood_S.argmax())
    log_likelihood = float(best.log_likelihood_S[s] - len(shift_D) * scale.log())
    found = log_likelihood, int(best.iterations_S[s]), bool(best.converged_S[s])
    return Mixture(best.coefficients_SKQ[s], *found, shift_D, scale)


class _EM:
    """The mixtures that it finds from S clusterings of the rows, those that have converged left alone."""

    def __init__(self, rows_ND: Tensor, clusters_SN: Tensor, components: int) -> None:
        self._rows_ND, S = rows_ND, len(clusters_SN)
        self.log_likelihood_S = rows_ND.new_full((S,), -math.inf)
        self.iterations_S = torch.zeros_like(clusters_SN[:, 0])
        self.converged_S = torch.zeros_like(self.iterations_S, dtype=torch.bool)
        self.coefficients_SKQ = self._maximise(self._sums(clusters_SN, components))
        for _ in range(ITERATIONS):
            going_G = (~self.converged_S).nonzero()[:, 0]
            if not len(going_G):
                break
            log_likelihood_G, sums_GKQ = self._expect(self.coefficients_SKQ[going_G])
            change_G = (log_likelihood_G - self.log_likelihood_S[going_G]).abs()
            self.coefficients_SKQ[going_G] = self._maximise(sums_GKQ)
            self.log_likelihood_S[going_G] = log_likelihood_G
            self.iterations_S[going_G] += 1
            self.converged_S[going_G] = change_G < TOLERANCE

    def _sums(self, clusters_SN: Tensor, K: int) -> Tensor:
        """The statistics summed over the rows of each cluster (S, K, Q)."""
        number_K1, S = torch.arange(K, device=clusters_SN.device)[:, None], len(clusters_SN)
        of_blocks = (
            (clusters_SN[:, None, rows] == number_K1).to(statistics_QB).flatten(0, 1) @ statistics_QB.T
            for rows, statistics_QB in _blocks(self._rows_ND, S * K)
        )
        return functools.reduce(torch.Tensor.add_, of_blocks).unflatten(0, (S, K))

    def _expect(self, coefficients_SKQ: Tensor) -> tuple[Tensor, Tensor]:
        """The mean log likelihood (S,), and the statistics summed by the components' shares of each row (S, K, Q)."""
        S, K, Q = coefficients_SKQ.shape
        log_likelihood_S, sums_CQ = coefficients_SKQ.new_zeros(S), coefficients_SKQ.new_zeros(S * K, Q)
        for _, statistics_QB in _blocks(self._rows_ND, S * K):
            log_density_SKB = (coefficients_SKQ.flatten(0, 1) @ statistics_QB).unflatten(0, (S, K))
            share_SKB = log_density_SKB.softmax(1)
            # of the likeliest component: log p(x) = log p(x, k) - log p(k | x)
            log_likelihood_S += (log_density_SKB.amax(1) - share_SKB.amax(1).log()).sum(1)
            sums_CQ.addmm_(share_SKB.flatten(0, 1), statistics_QB.T)
        return log_likelihood_S / len(self._rows_ND), sums_CQ.unflatten(0, (S, K))

    def _maximise(self, sums_SKQ: Tensor) -> Tensor:
        """The coefficients of the Gaussians that have the clusters' or components' means and covariances."""
        N, D = self._rows_ND.shape
        i_P, j_P = _pairs(D, sums_SKQ.device)
        size_SK1 = sums_SKQ[..., :1] + 10 * torch.finfo(sums_SKQ.dtype).eps
        mean_SKD = sums_SKQ[..., 1 : D + 1] / size_SK1
        covariance_SKDD = sums_SKQ.new_empty(*mean_SKD.shape, D)
        covariance_SKDD[..., i_P, j_P] = covariance_SKDD[..., j_P, i_P] = sums_SKQ[..., D + 1 :] / size_SK1
        covariance_SKDD -= mean_SKD[..., None] * mean_SKD[..., None, :]
        covariance_SKDD.diagonal(dim1=-2, dim2=-1).add_(REGULARISATION)
        factor_SKDD = torch.linalg.cholesky(covariance_SKDD)
        precision_SKDD = torch.cholesky_inverse(factor_SKDD)
        linear_SKD = (precision_SKDD @ mean_SKD[..., None])[..., 0]
        half_log_det_SK = factor_SKDD.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant_SK = (size_SK1[..., 0] / N).log() - half_log_det_SK - D / 2 * math.log(2 * math.pi)
        constant_SK -= (mean_SKD * linear_SKD).sum(-1) / 2
        square_SKP = precision_SKDD[..., i_P, j_P] * torch.where(i_P == j_P, -0.5, -1)
        return torch.cat((constant_SK[..., None], linear_SKD, square_SKP), -1)


def _blocks(rows_ND: Tensor, densities: int) -> Iterator[tuple[slice, Tensor]]:
    """Of each block which rows it has, and their statistics (Q, B): 1, the columns, and their products by pairs."""
    D = rows_ND.shape[1]
    i_P, j_P = _pairs(D, rows_ND.device)
    size = max(LEAST, BLOCK // max(1 + D + len(i_P), densities))
    for start in range(0, len(rows_ND), size):
        x_DB = rows_ND[start : start + size].T
        yield slice(start, start + size), torch.cat((torch.ones_like(x_DB[:1]), x_DB, x_DB[i_P] * x_DB[j_P]))


def _pairs(D: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The columns (P,) and (P,) of each product of two, or of one with itself."""
    i_P, j_P = torch.triu_indices(D, D, device=device)
    return i_P, j_P

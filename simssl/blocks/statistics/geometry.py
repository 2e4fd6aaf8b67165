"""The geometry of representations: spread within and between images, effective rank, alignment and uniformity.

All in float64. z_IJD are the representations of J views of each of I images, z_ND those of N images in G groups; K
counts singular values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 1000
"""Rows whose distances to all others are in memory at once."""


def variances_within_and_between(z_IJD: Tensor) -> tuple[Tensor, Tensor]:
    """The variance within the views of an image, and that between images, of each column: (D,), (D,).

    Their sum is the variance of a view of any image (law of total variance).

    within = sum_ij (z_ij - zbar_i)^2 / (I (J-1)), and between = sum_i (zbar_i - zbar)^2 / (I-1) - within / J: the means
    of J views differ by within / J even where the images do not. These are the unbiased estimates of one-way analysis
    of variance with the images as groups, MSW and (MSB - MSW) / J (Searle et al. 1992, section 3.5). The second may be
    negative.
    """
    z_IJD = z_IJD.double()
    J = z_IJD.shape[1]
    within_D = z_IJD.var(1).mean(0)
    of_means_D = z_IJD.mean(1).var(0)
    return within_D, of_means_D - within_D / J


def variance_ratio(within: Tensor, between: Tensor, images: int, views: int) -> Tensor:
    """within / between, elementwise; not a number where both are 0.

    `between` is taken to be no less than its standard deviation where images do not differ, of normal columns:
    within / views * sqrt(2 / (images - 1) + 2 / (images (views - 1))). So the ratio is at most `most_variance_ratio`.
    """
    return _held_ratio(within, between, most_variance_ratio(images, views))


def _held_ratio(within: Tensor, between: Tensor, most: float) -> Tensor:
    """within / between, elementwise, `most` at most; not a number where both are 0."""
    return within / torch.maximum(between, within / most)


def most_variance_ratio(images: int, views: int) -> float:
    """The largest value that `variance_ratio` gives."""
    variance = 2 / (images - 1) + 2 / (images * (views - 1))
    return views / math.sqrt(variance)


@dataclass(frozen=True)
class GroupVariances:
    """The variance within groups of images and that between groups, of each column (D,), both unbiased.

    They are those of one-way analysis of variance, whose groups may differ in size (Searle et al. 1992, section 3.6):

    within = sum_g sum_i (z_gi - zbar_g)^2 / (N - G) and between = (sum_g n_g (zbar_g - zbar)^2 / (G - 1) - within) / n,
    where n = (N - sum_g n_g^2 / N) / (G - 1). For groups of J images each n is J, and they are what
    `variances_within_and_between` gives.
    """

    within_D: Tensor
    between_D: Tensor
    groups: int
    images: int
    alone: int
    """Groups of one image. They count in the variance between groups alone."""
    size: float
    """n, the size that groups would have if all had the same."""

    @property
    def most(self) -> float:
        """The largest ratio, by the rule of `variance_ratio`."""
        variance = 2 / (self.groups - 1) + 2 / (self.images - self.groups)
        return self.size / math.sqrt(variance)

    @property
    def ratio_D(self) -> Tensor:
        """within / between of each column, `most` at most; not a number where both are 0."""
        return _held_ratio(self.within_D, self.between_D, self.most)

    @property
    def ratio(self) -> float:
        """The same of the sums over the columns."""
        return float(_held_ratio(self.within_D.sum(), self.between_D.sum(), self.most))


def variances_of_groups(z_ND: Tensor, group_N: Tensor) -> GroupVariances:
    """The variances of images in groups, which have numbers. ValueError without two groups, or two images in one."""
    z_ND = z_ND.double()
    z_ND = z_ND - z_ND.mean(0)
    _, group_N = group_N.to(z_ND.device).unique(return_inverse=True)
    size_G = group_N.bincount().double()
    N = len(z_ND)
    G = len(size_G)
    if not N:
        raise ValueError("no image is of a group")
    if G < 2 or G == N:
        raise ValueError("all images are of one group" if G < 2 else "no two images are of one group")
    sum_GD = z_ND.new_zeros(G, z_ND.shape[1]).index_add_(0, group_N, z_ND)
    mean_GD = sum_GD / size_G[:, None]
    within_D = (z_ND - mean_GD[group_N]).square().sum(0) / (N - G)
    among_groups_D = (size_G[:, None] * mean_GD.square()).sum(0) / (G - 1)
    n = float((N - size_G.square().sum() / N) / (G - 1))
    between_D = (among_groups_D - within_D) / n
    return GroupVariances(within_D, between_D, groups=G, images=N, alone=int((size_G == 1).sum()), size=n)


def effective_rank(z_ND: Tensor) -> float:
    """exp(-sum_k p_k log p_k), p_k = s_k / sum s the normalised singular values of the centred matrix: 1 to D.

    Source: Roy & Vetterli 2007, definition 1. Rows that are all the same have none: 0 / 0, not a number.
    """
    z_ND = z_ND.double()
    singular_K = torch.linalg.svdvals(z_ND - z_ND.mean(0))
    p_K = singular_K / singular_K.sum()
    return float(torch.special.entr(p_K).sum().exp())


def alignment(z_IJD: Tensor) -> float:
    """E |f(x) - f(y)|^2 over all pairs of different views of an image, f of length 1: 0 to 4.

    Source: Wang & Isola 2020, eq. 6, alpha = 2. It is twice the variance within the images, summed over the columns.
    """
    within_D, _ = variances_within_and_between(F.normalize(z_IJD.double(), dim=2))
    return float(2 * within_D.sum())


def uniformity(z_IJD: Tensor, t: float = 2.0) -> float:
    """log E exp(-t |f(x) - f(y)|^2) over pairs of different images, f of length 1: -4 t to 0.

    Source: Wang & Isola 2020, eq. 7. Of each pair of images, the first views, the second ones, and so on are compared.
    """
    z_JID = F.normalize(z_IJD.double(), dim=2).transpose(0, 1)
    views, images = z_JID.shape[:2]
    sums = []
    for z_ID in z_JID:
        for block_BD in z_ID.split(BLOCK):
            squares_BI = torch.cdist(block_BD, z_ID).square()
            sums.append((-t * squares_BI).exp().sum())
    of_themselves = views * images
    of_pairs = torch.stack(sums).sum() - of_themselves
    mean = of_pairs / (of_themselves * (images - 1))
    return float(mean.log())


def varying_columns(z_ND: Tensor) -> Tensor:
    """The columns (D,) whose rows differ by more than float32 rounds the column's largest number."""
    range_D = z_ND.amax(0) - z_ND.amin(0)
    return range_D > 1e-6 * z_ND.abs().amax(0)


def rows_differ(z_ND: Tensor) -> bool:
    """True if the rows differ, in any column."""
    return bool(varying_columns(z_ND).any())

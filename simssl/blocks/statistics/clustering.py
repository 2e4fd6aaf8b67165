"""k-means (Lloyd 1982) from k-means++ starts (Arthur & Vassilvitskii 2007), on the device.

K in a tensor's name counts the clusters, which are `k` in the functions.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 10_000
"""Rows whose distances to all centres are in memory at once."""


def kmeans(x_ND: Tensor, k: int, generator: torch.Generator, iterations: int = 20) -> tuple[Tensor, Tensor]:
    """The cluster (N,) of each row, and the k centres (k, D); in the precision of the rows.

    At most `iterations` rounds, fewer if no row changes its cluster. A centre that loses all its rows becomes a
    neighbour of another's (one of many rows is likelier), as in the code of DeepCluster; a cluster may be empty
    all the same where there are fewer than k distinct rows.
    """
    centres_KD = kmeans_plus_plus(x_ND, k, generator)
    cluster_N = nearest_centre(x_ND, centres_KD)
    for _ in range(iterations):
        means_KD, count_K = _means(x_ND, cluster_N, k)
        centres_KD = _refill(means_KD, count_K, generator)
        before_N = cluster_N
        cluster_N = nearest_centre(x_ND, centres_KD)
        if torch.equal(before_N, cluster_N):
            break
    return cluster_N, centres_KD


def kmeans_plus_plus(x_ND: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """k rows (k, D), each drawn with probability proportional to its squared distance from those drawn before."""
    distance_N = torch.ones_like(x_ND[:, 0])
    centres: list[Tensor] = []
    for _ in range(k):
        weights_N = distance_N + torch.finfo(x_ND.dtype).tiny  # where all rows are alike, any will do
        centre_1D = x_ND[torch.multinomial(weights_N, 1, generator=generator)]
        centres.append(centre_1D)
        new_N = (x_ND - centre_1D).square().sum(1)
        distance_N = new_N if len(centres) == 1 else torch.minimum(distance_N, new_N)
    return torch.cat(centres)


def nearest_centre(x_ND: Tensor, centres_KD: Tensor) -> Tensor:
    """The index (N,) of the nearest centre of each row: that of the least |c|^2 - 2 c x."""
    with torch.autocast(x_ND.device.type, enabled=False):
        square_K1 = centres_KD.square().sum(1, keepdim=True)
        nearest = []
        for x_BD in x_ND.split(BLOCK):
            scores_KB = torch.addmm(square_K1, centres_KD, x_BD.T, alpha=-2)
            nearest.append(scores_KB.min(0).indices)
        return torch.cat(nearest)


def _means(x_ND: Tensor, cluster_N: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The mean (k, D) of the rows of each cluster (0 if it has none), and their number (k,).

    The sums are matrix products: an operation that adds rows to where an index says is slow on a CPU, and adds them in
    another order each time on a GPU.
    """
    number_K1 = torch.arange(k, device=x_ND.device)[:, None]
    sum_KD = x_ND.new_zeros(k, x_ND.shape[1])
    count_K = torch.zeros_like(number_K1[:, 0])
    with torch.autocast(x_ND.device.type, enabled=False):
        for x_BD, cluster_B in zip(x_ND.split(BLOCK), cluster_N.split(BLOCK), strict=True):
            belongs_KB = cluster_B == number_K1
            sum_KD.addmm_(belongs_KB.to(x_BD), x_BD)
            count_K += belongs_KB.sum(1)
    mean_KD = sum_KD / count_K.clamp(min=1)[:, None]
    return mean_KD, count_K


def _refill(centres_KD: Tensor, count_K: Tensor, generator: torch.Generator) -> Tensor:
    """The centres, those without rows now neighbours of others."""
    end_K = count_K.cumsum(0)
    N = int(end_K[-1])
    row_K = torch.randint(N, count_K.shape, generator=generator, device=count_K.device)
    donor_K = torch.searchsorted(end_K, row_K, right=True)
    noise_KD = torch.empty_like(centres_KD).normal_(generator=generator)
    neighbours_KD = centres_KD[donor_K] + 1e-4 * noise_KD
    return torch.where((count_K > 0)[:, None], centres_KD, neighbours_KD)

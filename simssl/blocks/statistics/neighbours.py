"""Nearest neighbours by brute force: as exact as in float64, at the speed of float32.

Q counts the queries, k their neighbours, M the candidates for them. The bank's N rows lie in G groups of g rows each;
m groups are looked into for each query, which are R rows. C counts classes. E is D + 1: a row and one more factor.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 500
"""Queries whose distances to the whole bank are in memory at once."""
FEW = 100
"""Queries whose neighbours are in memory at once, in float64."""
GROUP = 32
"""Rows of the bank of which the nearest alone is looked at first: the k nearest rows lie in k groups."""


def nearest_rows(queries_QD: Tensor, bank_ND: Tensor, k: int) -> Tensor:
    """Indices (Q, k) of the k rows of the bank (N >= k) that are nearest by Euclidean distance, nearest first.

    float32 products find 2k candidates for each query, float64 orders them. A query whose k-th neighbour is so near to
    the candidates' edge that float32 could have lost one is compared with the whole bank in float64.
    """
    centre_D = bank_ND.mean(0)
    bank = _Bank(bank_ND - centre_D)
    blocks = (queries_QD - centre_D).split(BLOCK)
    return torch.cat([bank.nearest(block_BD, k) for block_BD in blocks])


def vote_of_nearest(queries_QD: Tensor, bank_ND: Tensor, labels_N: Tensor, k: int, classes: int) -> Tensor:
    """The most frequent label of the k nearest rows of the bank (Q,), as `vote` has it."""
    return vote(labels_N[nearest_rows(queries_QD, bank_ND, k)], classes)


def vote(neighbours_Qk: Tensor, classes: int) -> Tensor:
    """The most frequent label of each row (Q,); among equals that of the nearest neighbour."""
    counts_QC = torch.zeros(len(neighbours_Qk), classes, device=neighbours_Qk.device)
    counts_QC.scatter_add_(1, neighbours_Qk, torch.ones_like(neighbours_Qk, dtype=counts_QC.dtype))
    leads_Qk = counts_QC.gather(1, neighbours_Qk) == counts_QC.amax(1, keepdim=True)
    first_Q1 = leads_Qk.to(torch.uint8).argmax(1, keepdim=True)
    return neighbours_Qk.gather(1, first_Q1)[:, 0]


def cosines(queries_QD: Tensor, bank_ND: Tensor, near_Qk: Tensor) -> Tensor:
    """The cosine (Q, k) of each query and each of its k rows of the bank, whose indices are given; in float64."""
    parts = []
    for block_BD, near_Bk in zip(queries_QD.split(FEW), near_Qk.split(FEW), strict=True):
        query_BD1 = F.normalize(block_BD.double(), dim=1)[:, :, None]
        rows_BkD = F.normalize(bank_ND[near_Bk].double(), dim=2)
        parts.append((rows_BkD @ query_BD1)[:, :, 0])
    return torch.cat(parts)


def weighted_vote(neighbours_Qk: Tensor, weights_Qk: Tensor, classes: int) -> Tensor:
    """The label of each row (Q,) whose neighbours have the largest sum of weights."""
    sums_QC = weights_Qk.new_zeros(len(neighbours_Qk), classes)
    return sums_QC.scatter_add_(1, neighbours_Qk, weights_Qk).argmax(1)


class _Bank:
    """The rows among which neighbours are looked for.

    The score of a row b for a query q is |b|^2 - 2 q b: the nearest row's is the least.
    """

    def __init__(self, bank_ND: Tensor) -> None:
        self.rows_ND = bank_ND
        self.square_N = bank_ND.double().square().sum(1)
        missing = -len(bank_ND) % GROUP
        rows_ND = F.pad(bank_ND, (0, 0, 0, missing))
        square_N = F.pad(self.square_N.float(), (0, missing), value=torch.inf)
        # one product with (-2 q, 1) gives the scores, which spares a pass over them
        factors_NE = torch.cat([rows_ND, square_N[:, None]], 1)
        self.factors_EN = factors_NE.T
        self.scores_QN = bank_ND.new_empty(BLOCK, len(square_N))

    def nearest(self, queries_QD: Tensor, k: int) -> Tensor:
        candidates = min(2 * k, len(self.rows_ND))
        near_QM, edge_Q = self._candidates(queries_QD, candidates)
        rows_QMD = self.rows_ND[near_QM].double()
        queries_Q1D = queries_QD[:, None].double()
        distance_QM = (rows_QMD - queries_Q1D).square().sum(2)
        distance_Qk, order_Qk = distance_QM.topk(k, largest=False)
        near_Qk = near_QM.gather(1, order_Qk)
        if candidates < len(self.rows_ND):
            is_unsure_Q = distance_Qk[:, -1] > edge_Q
            unsure = is_unsure_Q.nonzero()[:, 0]
            if len(unsure):
                near_Qk[unsure] = self._nearest_in_float64(queries_QD[unsure], k)
        return near_Qk

    def _candidates(self, queries_QD: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The rows (Q, count) of least score in float32, and what no other row's squared distance is below (Q,)."""
        Q = len(queries_QD)
        factors_QE = F.pad(-2 * queries_QD, (0, 1), value=1.0)
        score_QN = torch.mm(factors_QE, self.factors_EN, out=self.scores_QN[:Q])

        score_QGg = score_QN.view(Q, -1, GROUP)
        groups = min(count, score_QGg.shape[1])
        group_Qm = score_QGg.amin(2).topk(groups, largest=False).indices
        row_g = torch.arange(GROUP, device=group_Qm.device)
        row_Qmg = GROUP * group_Qm[:, :, None] + row_g
        row_QR = row_Qmg.flatten(1)

        score_QM, order_QM = score_QN.gather(1, row_QR).topk(count, largest=False)
        square_Q = queries_QD.double().square().sum(1)
        farthest_Q = score_QM[:, -1].double() + square_Q
        edge_Q = farthest_Q - self._rounding(queries_QD)
        return row_QR.gather(1, order_QM), edge_Q

    def _rounding(self, queries_QD: Tensor) -> Tensor:
        """The largest error (Q,) of a score in float32.

        A sum of E products is off by at most E units of roundoff times the factors' lengths, in whatever order it is
        taken (Higham 2002, eq. 3.5). |b|^2 is rounded once before it.
        """
        unit = torch.finfo(torch.float32).eps / 2
        longest = self.square_N.max().sqrt()
        length_Q = queries_QD.double().norm(dim=1)
        lengths_Q = 2 * length_Q * longest + longest.square()
        return (queries_QD.shape[1] + 3) * unit * lengths_Q

    def _nearest_in_float64(self, queries_QD: Tensor, k: int) -> Tensor:
        rows_ND = self.rows_ND.double()
        score_QN = torch.addmm(self.square_N, queries_QD.double(), rows_ND.T, alpha=-2)
        return score_QN.topk(k, largest=False).indices

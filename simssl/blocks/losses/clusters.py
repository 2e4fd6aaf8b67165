"""Soft assignments of images to K prototypes, all used equally (Caron et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def sinkhorn(scores_BK: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Codes (B, K): probabilities of the prototypes for each row, each prototype with about B / K of the rows in all.

    They maximise sum_bk q_bk s_bk + epsilon H(q) under these sums, by so many alternations between prototypes and
    rows (Sinkhorn-Knopp); rows come last, and sum to 1 exactly. Source: Caron et al. 2020, eq. 3 to 5. In the precision
    of the scores, computed as logarithms, so that no epsilon is too small for it.
    """
    log_BK = scores_BK / epsilon
    for _ in range(iterations):
        log_BK = log_BK - log_BK.logsumexp(0, keepdim=True)
        log_BK = log_BK - log_BK.logsumexp(1, keepdim=True)
    return log_BK.exp()


def swapped_cross_entropy(codes_V: list[Tensor], logits_V: list[Tensor]) -> Tensor:
    """The mean cross entropy between the codes of each view and the logits of every other view, a 0-d tensor.

    The codes (B, K) are those of the first views, the logits (B, K) those of all views in the same order. Source:
    Caron et al. 2020, eq. 1 and 6.
    """
    log_p_V = [logits_BK.log_softmax(1) for logits_BK in logits_V]
    losses = []
    for coded, codes_BK in enumerate(codes_V):
        for view, log_p_BK in enumerate(log_p_V):
            if view != coded:
                losses.append(-(codes_BK * log_p_BK).sum(1).mean())
    return torch.stack(losses).mean()

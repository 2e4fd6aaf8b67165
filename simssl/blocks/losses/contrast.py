"""Contrastive losses.

K counts negatives, M the rows of a second set. The N rows of `nt_xent` are the 2B views, those of a row's logits in
`contrast_with_negatives` its key and the K negatives.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Similarity = Literal["dot", "cosine"]


def nt_xent(za_BD: Tensor, zb_BD: Tensor, temperature: float) -> Tensor:
    """The normalised temperature-scaled cross entropy of two views (Chen et al. 2020, eq. 1), a 0-d tensor.

    -1/(2B) sum_i log [exp(s_ip / T) / sum_{k != i} exp(s_ik / T)] over the 2B views, s the cosine similarity
    and p the other view of i's image. In the precision of its inputs, under autocast too.
    """
    B = len(za_BD)
    z_ND = torch.cat([za_BD, zb_BD])
    logits_NN = similarities(z_ND, z_ND, "cosine") / temperature
    itself_NN = torch.eye(2 * B, dtype=torch.bool, device=z_ND.device)
    logits_NN = logits_NN.masked_fill_(itself_NN, -torch.inf)
    positive_N = torch.arange(2 * B, device=z_ND.device).roll(B)
    return F.cross_entropy(logits_NN, positive_N)


def sup_con(z_ND: Tensor, group_N: Tensor, temperature: float) -> Tensor:
    """The supervised contrastive loss (Khosla et al. 2020, eq. 2), a 0-d tensor.

    -1/N sum_i 1/|P(i)| sum_{p in P(i)} log [exp(s_ip / T) / sum_{k != i} exp(s_ik / T)] over N views, s the cosine
    similarity and P(i) the other views of i's group, of which there is at least one. Two views of B images, each image
    a group, give `nt_xent`. In the precision of its inputs, under autocast too.
    """
    itself_NN = torch.eye(len(z_ND), dtype=torch.bool, device=z_ND.device)
    logits_NN = similarities(z_ND, z_ND, "cosine") / temperature
    logits_NN = logits_NN.masked_fill(itself_NN, -torch.inf)
    log_share_NN = logits_NN - logits_NN.logsumexp(1, keepdim=True)
    is_positive_NN = (group_N[:, None] == group_N) & ~itself_NN
    log_shares_N = torch.where(is_positive_NN, log_share_NN, 0.0).sum(1)
    return -(log_shares_N / is_positive_NN.sum(1)).mean()


def info_nce(za_BD: Tensor, zb_BD: Tensor, similarity: Similarity, temperature: float | Tensor) -> Tensor:
    """InfoNCE between two views (van den Oord et al. 2018, eq. 4), symmetrised, a 0-d tensor.

    -1/(2B) sum_i log [exp(s_ii / T) / sum_k exp(s_ik / T)] + log [exp(s_ii / T) / sum_k exp(s_ki / T)], s_ik the
    similarity of the first view of image i and the second of image k. In the precision of its inputs, under
    autocast too.
    """
    logits_BB = similarities(za_BD, zb_BD, similarity) / temperature
    positive_B = torch.arange(len(za_BD), device=za_BD.device)
    first_to_second = F.cross_entropy(logits_BB, positive_B)
    second_to_first = F.cross_entropy(logits_BB.T, positive_B)
    return 0.5 * (first_to_second + second_to_first)


def contrast_with_negatives(
    q_BD: Tensor, k_BD: Tensor, negatives_KD: Tensor, temperature: float, masked_BK: Tensor | None = None
) -> Tensor:
    """The mean over B of -log [exp(q.k / T) / (exp(q.k / T) + sum_n exp(q.n / T))], a 0-d tensor.

    All rows have length 1; a negative counts for all queries but those that it is masked for. In the precision of
    the rows, under autocast too.
    """
    negative_BK = similarities(q_BD, negatives_KD, "dot")
    if masked_BK is not None:
        negative_BK = negative_BK.masked_fill(masked_BK, -torch.inf)
    positive_B1 = (q_BD * k_BD).sum(1, keepdim=True)
    logits_BN = torch.cat([positive_B1, negative_BK], dim=1) / temperature
    first_B = torch.zeros(len(q_BD), dtype=torch.long, device=q_BD.device)
    return F.cross_entropy(logits_BN, first_B)


def spectral_contrast(za_BD: Tensor, zb_BD: Tensor) -> tuple[Tensor, Tensor]:
    """The two terms of the spectral contrastive loss (HaoChen et al. 2021, lemma 3.2), 0-d tensors.

    -2/B sum_i za_i.zb_i, and 1/(B (B - 1)) sum_{i != k} (za_i.zb_k)^2. In the precision of the rows, under autocast
    too.
    """
    B = len(za_BD)
    product_BB = similarities(za_BD, zb_BD, "dot")
    same_BB = torch.eye(B, dtype=torch.bool, device=za_BD.device)
    others_BB = product_BB.masked_fill(same_BB, 0)
    attraction = -2 * product_BB.diagonal().mean()
    repulsion = others_BB.square().sum() / (B * (B - 1))
    return attraction, repulsion


def similarities(za_ND: Tensor, zb_MD: Tensor, similarity: Similarity) -> Tensor:
    """Dot products or cosines (N, M) of every row with every row, in the precision of the rows, under autocast too."""
    with torch.autocast(za_ND.device.type, enabled=False):
        if similarity == "dot":
            return za_ND @ zb_MD.T
        unit_ND = F.normalize(za_ND, dim=1)
        unit_MD = unit_ND if zb_MD is za_ND else F.normalize(zb_MD, dim=1)
        return unit_ND @ unit_MD.T

"""Contrastive losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(za_BD: Tensor, zb_BD: Tensor, temperature: float) -> Tensor:
    """The normalised temperature-scaled cross entropy of two views (Chen et al. 2020, eq. 1), a 0-d tensor.

    -1/(2B) sum_i log [exp(s_ip / T) / sum_{k != i} exp(s_ik / T)] over the 2B views, s the cosine similarity
    and p the other view of i's image. In the precision of its inputs, under autocast too.
    """
    B = len(za_BD)
    with torch.autocast(za_BD.device.type, enabled=False):
        z_ND = F.normalize(torch.cat([za_BD, zb_BD]), dim=1)
        logits_NN = z_ND @ z_ND.T / temperature
    logits_NN = logits_NN.masked_fill(torch.eye(2 * B, dtype=torch.bool, device=z_ND.device), -torch.inf)
    positive_N = torch.arange(2 * B, device=z_ND.device).roll(B)
    return F.cross_entropy(logits_NN, positive_N)

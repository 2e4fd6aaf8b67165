"""How well classifiers do. M counts problems, each with a classifier of its own; a label of -1 does not count."""

from __future__ import annotations

import torch
from torch import Tensor


def accuracies(logits_MBC: Tensor, labels_MB: Tensor) -> Tensor:
    """The accuracy of each of M problems (M,)."""
    known_MB = labels_MB >= 0
    right_MB = (logits_MBC.argmax(2) == labels_MB) & known_MB
    return right_MB.sum(1).double() / known_MB.sum(1)


def cross_entropies(logits_MBC: Tensor, labels_MB: Tensor) -> Tensor:
    """The mean cross entropy of each of M problems (M,), in nats."""
    known_MB = labels_MB >= 0
    log_p_MBC = logits_MBC.log_softmax(2)
    log_p_MB1 = log_p_MBC.gather(2, labels_MB.clamp(min=0)[..., None])
    loss_MB = torch.where(known_MB, -log_p_MB1[..., 0], 0)
    return loss_MB.sum(1, dtype=torch.float64) / known_MB.sum(1)

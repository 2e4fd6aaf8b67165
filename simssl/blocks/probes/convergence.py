"""The learning rate and the number of epochs of probes that are trained until they have converged.

M counts the probes that are wanted, L the learning rates, and P = L M the probes that are trained for the choice. T
counts the looks at other images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from simssl.blocks.probes.classifiers import ParallelClassifiers
from simssl.blocks.probes.scores import accuracies, cross_entropies

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""The learning rates of Adam that are tried, on standardised features. Ours."""
STEPS_BETWEEN_LOOKS = 100
LEAST_STEPS = 2000
LEAST_LOOKS = 20
"""Steps, and looks, before which nothing counts as converged. A look at few is chance: on 60,000 images an epoch lies
between two of them, and the least loss of a high learning rate's first ones is not reached again for long."""
GAIN = 1e-3
"""The cross entropy, in nats, that training for twice as long has to gain to go on."""

Train = Callable[[Sequence[float], int], Iterator[ParallelClassifiers]]
"""Trains a probe at each of these learning rates for so many epochs, and gives all of them after each epoch."""


@dataclass(frozen=True)
class ChosenTraining:
    """What was chosen for one probe."""

    lr: float
    epochs: int
    converged: bool
    """False if the steps that were allowed ran out before."""
    accuracy: float
    """The accuracy on these images then."""


def choose_training(
    train: Train, x_ND: Tensor, labels_MN: Tensor, *, steps_per_epoch: int, most_steps: int
) -> list[ChosenTraining]:
    """The learning rate and epoch at which each probe has the least cross entropy on these images.

    `train` is asked for L probes of each of the M targets: all targets at the first learning rate, then all at the
    second. Training ends when none has gained `GAIN` in the second half of its steps, or when the steps run out.
    """
    L = len(RATES)
    M = len(labels_MN)
    rates = [rate for rate in RATES for _ in range(M)]
    every = max(1, round(STEPS_BETWEEN_LOOKS / steps_per_epoch))
    most = math.ceil(most_steps / steps_per_epoch)
    labels_PN = labels_MN.repeat(L, 1)
    losses = []
    right = []
    looks = []
    converged_M = torch.zeros(M, dtype=torch.bool)
    for epoch, network in enumerate(train(rates, most), 1):
        if epoch % every and epoch < most:
            continue
        logits_PNC = network(x_ND)
        loss_P = cross_entropies(logits_PNC, labels_PN)
        losses.append(loss_P.nan_to_num(nan=math.inf).view(L, M).cpu())
        right.append(accuracies(logits_PNC, labels_PN).view(L, M).cpu())
        looks.append(epoch)
        converged_M = _converged(losses)
        enough = epoch * steps_per_epoch >= LEAST_STEPS and len(looks) >= LEAST_LOOKS
        if enough and bool(converged_M.all()):
            break
    return _best(torch.stack(losses), torch.stack(right), looks, converged_M)


def _converged(losses: Sequence[Tensor]) -> Tensor:
    """Whether each probe (M,) gained less than `GAIN` in the second half of the looks (L, M)."""
    loss_TLM = torch.stack(list(losses))
    first_half = loss_TLM[: len(loss_TLM) // 2]
    if not len(first_half):
        return torch.zeros(loss_TLM.shape[2], dtype=torch.bool)
    gain_M = first_half.amin((0, 1)) - loss_TLM.amin((0, 1))
    return gain_M < GAIN


def _best(loss_TLM: Tensor, right_TLM: Tensor, looks: Sequence[int], converged_M: Tensor) -> list[ChosenTraining]:
    choices = []
    for m, converged in enumerate(converged_M.tolist()):
        least = int(loss_TLM[:, :, m].argmin())
        look, rate = divmod(least, len(RATES))
        accuracy = right_TLM[look, rate, m].item()
        choices.append(ChosenTraining(RATES[rate], looks[look], converged, accuracy))
    return choices

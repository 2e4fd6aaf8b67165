"""Regressions of targets on frozen features, with the penalty or the epochs that are best on other images.

P counts the columns to predict, and T the targets: a target has one column, or the cosine and the sine of an angle. L
counts the penalties of ridge regression, E the epochs of the MLP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from simssl.blocks.probes.regression import ParallelMLP, Standardizer, r2, ridge, train_epochs

PENALTIES = tuple(10.0**exponent for exponent in range(-6, 3))
"""Penalties of the ridge regressions, on standardised columns."""

HIDDEN, BATCH, LR = (256, 256), 256, 1e-3
"""Hidden units, images in a step and learning rate of the MLP. Ours."""


@dataclass(frozen=True)
class Pairs:
    """Features (N, D), and what is to be predicted of them (N, P).

    `target_P` has the number of the target that each column belongs to; each is a target of its own if it is None.
    """

    x_ND: Tensor
    y_NP: Tensor
    target_P: Tensor | None = None

    def r2(self, predicted: Tensor) -> Tensor:
        """R2 of predictions (..., N, P) of each target, (..., T)."""
        return r2(predicted, self.y_NP, self.target_P)

    def __add__(self, other: Pairs) -> Pairs:
        x_ND = torch.cat([self.x_ND, other.x_ND])
        y_NP = torch.cat([self.y_NP, other.y_NP])
        return Pairs(x_ND, y_NP, self.target_P)


@dataclass(frozen=True)
class Regressed:
    """Predictions (N, P), and of each target what was chosen for it: the penalty, or the number of epochs."""

    predicted_NP: Tensor
    chosen: Sequence[float]
    gained: Sequence[float] = ()
    """R2 on the held-out images that each target gained in the second half of the epochs."""
    held_out: Sequence[float] = ()
    """R2 of each target on the held-out images, before these were fitted on, too."""


def regress_by_ridge(fit: Pairs, held_out: Pairs, new_ND: Tensor) -> Regressed:
    """Ridge regressions, each of the penalty that is best on the held-out images, then fitted on both."""
    predicted_LNP = ridge(fit.x_ND, fit.y_NP, PENALTIES)(held_out.x_ND)
    r2_LT = held_out.r2(predicted_LNP)
    best_T = r2_LT.argmax(0)
    both = fit + held_out
    predicted_LNP = ridge(both.x_ND, both.y_NP, PENALTIES)(new_ND)
    penalties = [PENALTIES[best] for best in best_T.tolist()]
    predicted_NP = _chosen(predicted_LNP, best_T, fit.target_P)
    return Regressed(predicted_NP, penalties, held_out=r2_LT.amax(0).tolist())


def regress_by_mlp(fit: Pairs, held_out: Pairs, new_ND: Tensor, epochs: int, generator: torch.Generator) -> Regressed:
    """One MLP D-256-256-P, each target after the epochs that are best on the held-out images, then trained on both."""
    after_each_epoch = _train(fit, held_out.x_ND, epochs, generator)
    r2_ET = torch.stack([held_out.r2(predicted_NP) for predicted_NP in after_each_epoch])
    best_T = r2_ET.argmax(0)
    most = int(best_T.max()) + 1
    predicted_ENP = torch.stack(_train(fit + held_out, new_ND, most, generator))
    chosen = [best + 1 for best in best_T.tolist()]
    first_half_ET = r2_ET[: max(1, epochs // 2)]
    gained_T = r2_ET.amax(0) - first_half_ET.amax(0)
    predicted_NP = _chosen(predicted_ENP, best_T, fit.target_P)
    return Regressed(predicted_NP, chosen, gained_T.tolist(), r2_ET.amax(0).tolist())


def _train(pairs: Pairs, new_ND: Tensor, epochs: int, generator: torch.Generator) -> list[Tensor]:
    """The MLP's predictions (N, P) for new features after each epoch."""
    scale_x = Standardizer(pairs.x_ND)
    scale_y = Standardizer(pairs.y_NP)
    x_ND = scale_x(pairs.x_ND)
    target_NP = scale_y(pairs.y_NP)
    widths = (x_ND.shape[1], *HIDDEN, target_NP.shape[1])
    network = ParallelMLP(1, widths, generator)

    def loss(predicted_1BP: Tensor, index_B: Tensor) -> Tensor:
        return (predicted_1BP[0] - target_NP[index_B]).square().mean()

    predictions = []
    for _ in train_epochs(network, x_ND, loss, epochs=epochs, batch=BATCH, lr=LR, generator=generator):
        standard_NP = network(scale_x(new_ND))[0]
        predictions.append(scale_y.inverse(standard_NP))
    return predictions


def _chosen(predicted_LNP: Tensor, best_T: Tensor, target_P: Tensor | None) -> Tensor:
    """The predictions (N, P), each column of the best of L regressions for its target."""
    best_P = best_T if target_P is None else best_T[target_P]
    columns = []
    for p, best in enumerate(best_P.tolist()):
        columns.append(predicted_LNP[best, :, p])
    return torch.stack(columns, dim=1)

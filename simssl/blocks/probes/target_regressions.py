"""Regressions of a data set's targets that are numbers, on frozen features. T counts the targets, P their columns."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from simssl.blocks.messages import listed
from simssl.blocks.probes.class_probes import FrozenModel
from simssl.blocks.probes.regressors import BATCH, Pairs, regress_by_mlp, regress_by_ridge
from simssl.blocks.probes.targets import is_known
from simssl.blocks.statistics.factors import Factor

GAIN = 0.01
"""R2 that the second half of an MLP's epochs has to gain for more of them to be missed. Ours."""


@dataclass(frozen=True)
class RegressedTarget:
    """R2 of one target on the test images, and the penalty or the number of epochs that was chosen for it.

    A target on a circle is regressed as its cosine and its sine, with one R2 over both.
    """

    target: str
    r2: float
    chosen: float
    undertrained: bool = False
    """True if the second half of the epochs gained more than `GAIN`."""


@torch.no_grad()
def regress_targets(
    subject: FrozenModel, names: Sequence[str], probe: Literal["ridge", "mlp"], layer: str, steps: int
) -> list[RegressedTarget]:
    """Regress each of these targets, by ridge regression or by one MLP D-256-256-P for all that the same images have.

    The penalty, or the number of epochs, of those that take `steps` steps, is the best on the held-out images. All of
    train is then fitted anew. The log says so if more steps would do better.
    """
    regressed = []
    for together in _of_the_same_images(subject.data, names):
        regressed += _regress(subject, together, probe, layer, steps)
    late = [target.target for target in regressed if target.undertrained]
    if late:
        logging.getLogger("simssl").warning(
            f"the MLP of {listed(late)} still gains R2 after {steps:,} steps: raise 'mlp_steps'"
        )
    return regressed


def _of_the_same_images(data: Any, names: Sequence[str]) -> Iterator[list[str]]:
    """The targets in groups that are known of the same images."""
    groups: dict[bytes, list[str]] = {}
    for name in names:
        known = [is_known(split.targets[name]) for split in (data.train, data.test)]
        images = torch.cat(known).numpy().tobytes()
        groups.setdefault(images, []).append(name)
    yield from groups.values()


def _regress(
    subject: FrozenModel, names: Sequence[str], probe: Literal["ridge", "mlp"], layer: str, steps: int
) -> list[RegressedTarget]:
    fit_N, held_out_N = subject.selection()
    fit = _pairs(subject, "train", names, layer, fit_N)
    held_out = _pairs(subject, "train", names, layer, held_out_N)
    test = _pairs(subject, "test", names, layer)
    if probe == "ridge":
        regression = regress_by_ridge(fit, held_out, test.x_ND)
    else:
        steps_per_epoch = math.ceil(len(fit.x_ND) / BATCH)
        epochs = math.ceil(steps / steps_per_epoch)
        regression = regress_by_mlp(fit, held_out, test.x_ND, epochs, subject.generator)
    gained = regression.gained or len(names) * [0.0]
    r2_of_each = test.r2(regression.predicted_NP).tolist()
    regressed = []
    for name, r2, chosen, gain in zip(names, r2_of_each, regression.chosen, gained, strict=True):
        regressed.append(RegressedTarget(name, r2, chosen, undertrained=gain > GAIN))
    return regressed


def _pairs(subject: FrozenModel, split: str, names: Sequence[str], layer: str, index_N: Tensor | None = None) -> Pairs:
    """The features of the images of which these targets are known, and the columns of the targets."""
    z_ND = subject.features(split, layer)
    device = z_ND.device
    targets = getattr(subject.data, split).targets
    if index_N is None:
        index_N = torch.arange(len(z_ND), device=device)
    known_N = is_known(targets[names[0]]).to(device)
    index_N = index_N[known_N[index_N]]
    columns = []
    numbers: list[int] = []
    for number, name in enumerate(names):
        factor = Factor(targets[name].values.numpy(), targets[name].period)
        columns.append(torch.from_numpy(factor.numbers_NP).float())
        numbers += [number] * columns[-1].shape[1]
    y_NP = torch.cat(columns, dim=1).to(device)
    return Pairs(z_ND[index_N], y_NP[index_N], torch.tensor(numbers, device=device))

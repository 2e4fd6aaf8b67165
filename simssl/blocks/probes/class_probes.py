"""Probes of a data set's targets: trained on frozen features, stopped where they are best on other images.

M counts the probes, one for each target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from simssl.blocks.probes.classifiers import ParallelClassifiers, accuracies, train_classifiers
from simssl.blocks.probes.parameters import LayerName, TargetNames
from simssl.blocks.probes.targets import class_targets, labelled_targets


class ProbeParams(BaseModel):
    """The parameters of all probes. A probe's Params inherit them, before simssl.Params."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    targets: TargetNames | None = None
    "Targets of the data set to predict; all that have classes if empty."
    epochs: int = Field(200, ge=1)
    "Most passes over the training images. Source: the paper, 200."
    batch: int = Field(64, ge=1)
    "Images in a step. Source: the paper, 64."
    lr: float = Field(3e-4, gt=0)
    "Learning rate of Adam. Source: the paper, 3e-4."
    layer: LayerName = "representation"
    select: Literal["held_out", "test"] = "held_out"
    "Where the epoch is chosen: on images held out of train, or on test (the release's way, for its tables alone)."


class FrozenModel(Protocol):
    """The part of `simssl.api.Subject` that a probe needs."""

    data: Any
    generator: torch.Generator

    def features(self, split: str, layer: str = ...) -> Tensor: ...

    def selection(self) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class LabelledFeatures:
    """Features (N, D) with the labels (M, N) of M targets, -1 for none."""

    x_ND: Tensor
    labels_MN: Tensor

    def __getitem__(self, index_B: Tensor) -> LabelledFeatures:
        return LabelledFeatures(self.x_ND[index_B], self.labels_MN[:, index_B])


@dataclass(frozen=True)
class ProbedTarget:
    """The result of one target's probe.

    It has the number of epochs that were chosen, and, of the test images that have a label, the logits (N, C) and the
    labels (N,).
    """

    target: str
    epochs: int
    logits_NC: Tensor
    labels_N: Tensor

    @property
    def accuracy(self) -> float:
        return accuracies(self.logits_NC[None], self.labels_N[None]).item()


def check_probe(params: ProbeParams, data: Any) -> None:
    """ValueError if `data` (as `simssl.api.Data`) lacks a target, or labels to fit, to select or to test it on."""
    labelled_targets(data, params.targets, held_out=params.select == "held_out")


@torch.no_grad()
def train_probes(subject: FrozenModel, params: ProbeParams, hidden: int) -> list[ProbedTarget]:
    """A probe of each target, `hidden` layers of D units with ReLU and one of C, on features as they are.

    All are one batched network, trained by Adam. The epoch of each is the first that is best on the held-out images;
    then they are trained anew on all of train, and scored on test. With `select: test` the epoch is the best on test.
    """
    targets = subject.data.train.targets
    names = class_targets(targets, params.targets)
    classes = [len(targets[name].classes) for name in names]
    train = _labelled(subject, "train", params.layer, names)
    test = _labelled(subject, "test", params.layer, names)

    def trained_on(images: LabelledFeatures, epochs: int) -> Iterator[ParallelClassifiers]:
        """The probes after each epoch."""
        D = images.x_ND.shape[1]
        network = ParallelClassifiers(D, hidden * (D,), classes, subject.generator)
        training = train_classifiers(
            network,
            images.x_ND,
            images.labels_MN,
            epochs=epochs,
            batch=params.batch,
            lr=params.lr,
            generator=subject.generator,
        )
        for _ in training:
            yield network

    if params.select == "held_out":
        fit_N, held_out_N = subject.selection()
        selecting = trained_on(train[fit_N], params.epochs)
        epochs_M, _ = _best(selecting, train[held_out_N])
        final = trained_on(train, int(epochs_M.max()))
        logits_MNC = _after(epochs_M, final, test)
    else:
        final = trained_on(train, params.epochs)
        epochs_M, logits_MNC = _best(final, test)

    probed = []
    for m, name in enumerate(names):
        labels_N = test.labels_MN[m]
        known_N = labels_N >= 0
        logits_NC = logits_MNC[m, known_N, : classes[m]]
        epochs = int(epochs_M[m])
        probed.append(ProbedTarget(name, epochs, logits_NC, labels_N[known_N]))
    return probed


def _labelled(subject: FrozenModel, split: str, layer: str, names: Sequence[str]) -> LabelledFeatures:
    targets = getattr(subject.data, split).targets
    x_ND = subject.features(split, layer)
    labels_MN = torch.stack([targets[name].values for name in names])
    return LabelledFeatures(x_ND, labels_MN.to(x_ND.device))


def _best(after_each_epoch: Iterable[ParallelClassifiers], images: LabelledFeatures) -> tuple[Tensor, Tensor]:
    """The first epoch (M,) at which each probe is best on these images, and its logits (M, N, C) then."""
    M = len(images.labels_MN)
    best_M = images.x_ND.new_full((M,), -1, dtype=torch.float64)
    epochs_M = images.labels_MN.new_ones(M)
    logits_MNC = images.x_ND.new_zeros(())
    for epoch, network in enumerate(after_each_epoch, 1):
        now_MNC = network(images.x_ND)
        accuracy_M = accuracies(now_MNC, images.labels_MN)
        better_M = accuracy_M > best_M
        best_M = torch.where(better_M, accuracy_M, best_M)
        epochs_M = torch.where(better_M, epoch, epochs_M)
        logits_MNC = torch.where(better_M[:, None, None], now_MNC, logits_MNC)
    return epochs_M, logits_MNC


def _after(epochs_M: Tensor, after_each_epoch: Iterable[ParallelClassifiers], images: LabelledFeatures) -> Tensor:
    """The logits (M, N, C) of each probe after its epoch."""
    logits_MNC = images.x_ND.new_zeros(())
    for epoch, network in enumerate(after_each_epoch, 1):
        chosen_M = epochs_M == epoch
        if chosen_M.any():
            now_MNC = network(images.x_ND)
            logits_MNC = torch.where(chosen_M[:, None, None], now_MNC, logits_MNC)
    return logits_MNC


def probe_protocol(params: ProbeParams, data: Any) -> dict[str, str]:
    """A description of how the numbers of `train_probes` are made."""
    if params.select == "held_out":
        selection = f"epochs on {data.held_out}; then refitted on all of train"
    else:
        selection = "epochs on the TEST split, as the paper's release does"
    return {
        "split": "test",
        "layer": params.layer,
        "features": f"{params.layer}, as it is",
        "selection": selection,
        "selected_on": params.select,
    }

"""Probes of a data set's targets: trained on frozen features, with what is chosen on other images.

M counts the probes, one for each target.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from simssl.blocks.messages import listed
from simssl.blocks.probes.classifiers import ParallelClassifiers, train_classifiers
from simssl.blocks.probes.convergence import GAIN, RATES, choose_training
from simssl.blocks.probes.probe_params import ProbeParams
from simssl.blocks.probes.probed import LabelledFeatures, ProbedTarget
from simssl.blocks.probes.regression import Standardizer
from simssl.blocks.probes.scores import accuracies
from simssl.blocks.probes.targets import class_targets, labelled_targets


class FrozenModel(Protocol):
    """The part of `simssl.api.Subject` that a probe needs."""

    data: Any
    generator: torch.Generator

    def features(self, split: str, layer: str = ...) -> Tensor: ...

    def selection(self) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class _Chosen:
    """What was chosen for M probes, and their logits (M, N, C) for the test images then."""

    epochs: Sequence[int]
    logits_MNC: Tensor
    undertrained: Sequence[bool]
    rates: Sequence[float | None]
    held_out: Sequence[float | None]
    """Their accuracies on the held-out images, where the choice was made on these."""


def check_probe(params: ProbeParams, data: Any) -> None:
    """ValueError if `data` (as `simssl.api.Data`) lacks a target, or labels to fit, to select or to test it on."""
    labelled_targets(data, params.targets, held_out=params.select == "held_out")


@torch.no_grad()
def train_probes(subject: FrozenModel, params: ProbeParams, hidden: int) -> list[ProbedTarget]:
    """A probe of each target, `hidden` layers of D units with ReLU and one of C.

    All are one batched network, trained by Adam, and scored on test. Each is trained until it has converged: the
    learning rate and the epoch are those of the least cross entropy on the held-out images, and then all of train is
    trained on anew. The features are standardised. With `protocol: paper` the features stay as they are, the learning
    rate is given, and the epoch is the first of the best accuracy. With `select: test` the choice is made on test. The
    log says so if more training would do better.
    """
    names = class_targets(subject.data.train.targets, params.targets)
    classes = [len(subject.data.train.targets[name].classes) for name in names]
    train = _labelled(subject, "train", params.layer, names)
    test = _labelled(subject, "test", params.layer, names)
    probes = _Probes(classes, hidden, params, subject.generator)
    chosen = (
        _paper(probes, subject, train, test) if params.protocol == "paper" else _converged(probes, subject, train, test)
    )
    probed = []
    for m, name in enumerate(names):
        labels_N = test.labels_MN[m]
        known_N = labels_N >= 0
        probed.append(
            ProbedTarget(
                target=name,
                epochs=chosen.epochs[m],
                logits_NC=chosen.logits_MNC[m, known_N, : classes[m]],
                labels_N=labels_N[known_N],
                lr=chosen.rates[m],
                undertrained=chosen.undertrained[m],
                held_out=chosen.held_out[m],
            )
        )
    _tell_of_undertrained(probed, params)
    return probed


@dataclass(frozen=True)
class _Probes:
    """How the probes of M targets with these numbers of classes are trained."""

    classes: Sequence[int]
    hidden: int
    params: ProbeParams
    generator: torch.Generator

    def trained_on(
        self, images: LabelledFeatures, epochs: int, lr: float | Sequence[float]
    ) -> Iterator[ParallelClassifiers]:
        """The probes after each epoch. With L M learning rates there are L probes of each target, in turns."""
        D = images.x_ND.shape[1]
        L = 1 if isinstance(lr, int | float) else len(lr) // len(self.classes)
        network = ParallelClassifiers(D, self.hidden * (D,), L * list(self.classes), self.generator)
        training = train_classifiers(
            network,
            images.x_ND,
            images.labels_MN.repeat(L, 1),
            epochs=epochs,
            batch=self.params.batch,
            lr=lr,
            generator=self.generator,
        )
        for _ in training:
            yield network


def _paper(probes: _Probes, subject: FrozenModel, train: LabelledFeatures, test: LabelledFeatures) -> _Chosen:
    """The paper's protocol: one learning rate, and at most so many epochs."""
    epochs, lr = probes.params.epochs, probes.params.lr
    assert epochs is not None
    assert lr is not None
    nothing = len(train.labels_MN) * [None]
    held_out: Sequence[float | None] = nothing
    if probes.params.select == "held_out":
        fit_N, held_out_N = subject.selection()
        best = _best(probes.trained_on(train[fit_N], epochs, lr), train[held_out_N])
        epochs_M = best.epochs_M
        held_out = best.accuracy_M.tolist()
        logits_MNC = _after(epochs_M, probes.trained_on(train, int(epochs_M.max()), lr), test)
    else:
        best = _best(probes.trained_on(train, epochs, lr), test)
        epochs_M, logits_MNC = best.epochs_M, best.logits_MNC
    is_last_M = (epochs_M == epochs) & (epochs > 1)
    return _Chosen(epochs_M.tolist(), logits_MNC, is_last_M.tolist(), nothing, held_out)


def _converged(probes: _Probes, subject: FrozenModel, train: LabelledFeatures, test: LabelledFeatures) -> _Chosen:
    """Probes that are trained until they have converged, on standardised features."""
    steps = probes.params.steps
    assert steps is not None
    fit, other = train, test
    selects = probes.params.select == "held_out"
    if selects:
        fit_N, held_out_N = subject.selection()
        fit, other = train[fit_N], train[held_out_N]
    scale = Standardizer(fit.x_ND)
    to_fit = fit.scaled(scale)
    choices = choose_training(
        lambda rates, epochs: probes.trained_on(to_fit, epochs, rates),
        scale(other.x_ND),
        other.labels_MN,
        steps_per_epoch=math.ceil(len(fit.x_ND) / probes.params.batch),
        most_steps=steps,
    )
    scale = Standardizer(train.x_ND)
    rates = [choice.lr for choice in choices]
    epochs_M = torch.tensor([choice.epochs for choice in choices], device=train.x_ND.device)
    final = probes.trained_on(train.scaled(scale), int(epochs_M.max()), rates)
    logits_MNC = _after(epochs_M, final, test.scaled(scale))
    undertrained = [not choice.converged for choice in choices]
    held_out = [choice.accuracy if selects else None for choice in choices]
    return _Chosen(epochs_M.tolist(), logits_MNC, undertrained, rates, held_out)


def _tell_of_undertrained(probed: Sequence[ProbedTarget], params: ProbeParams) -> None:
    """Tell the log of the probes that more training would do better for."""
    names = [target.target for target in probed if target.undertrained]
    if not names:
        return
    if params.protocol == "paper":
        reason = f"was best at its last epoch, {params.epochs}: raise 'epochs', or leave out the paper's protocol"
    else:
        reason = f"has not converged in {params.steps:,} steps: raise 'steps'"
    logging.getLogger("simssl").warning(f"the probe of {listed(names)} {reason}")


def _labelled(subject: FrozenModel, split: str, layer: str, names: Sequence[str]) -> LabelledFeatures:
    targets = getattr(subject.data, split).targets
    x_ND = subject.features(split, layer)
    labels_MN = torch.stack([targets[name].values for name in names])
    return LabelledFeatures(x_ND, labels_MN.to(x_ND.device))


class _Best(NamedTuple):
    """The first epoch (M,) at which each probe is best on some images, its accuracy (M,) and logits (M, N, C) then."""

    epochs_M: Tensor
    accuracy_M: Tensor
    logits_MNC: Tensor


def _best(after_each_epoch: Iterable[ParallelClassifiers], images: LabelledFeatures) -> _Best:
    """The best of each probe on these images."""
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
    return _Best(epochs_M, best_M, logits_MNC)


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
    on_test = params.select == "test"
    protocol = {
        "split": "test",
        "layer": params.layer,
        "features": f"{params.layer}, as it is",
        "selection": f"epochs on {data.held_out}; then refitted on all of train",
        "selected_on": params.select,
    }
    if params.protocol == "paper" and on_test:
        protocol["selection"] = "epochs on the TEST split, as the paper's release does"
    if params.protocol == "converged":
        rates = ", ".join(f"{rate:g}" for rate in RATES)
        where = "the TEST split" if on_test else data.held_out
        protocol["features"] = f"{params.layer}, standardised"
        protocol["selection"] = f"learning rate and epochs on {where}; then refitted on all of train"
        protocol["training"] = (
            f"Adam at one of {rates}, until the second half of the steps gains less than {GAIN:g} nats"
        )
    return protocol

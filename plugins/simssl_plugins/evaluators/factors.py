"""Factors: how much of each target, content and style, a representation tells, on one scale; and disentanglement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Skip, Split, Subject, Target
from simssl.blocks.probes import (
    LayerName,
    ProbedTarget,
    ProbeParams,
    RegressedTarget,
    TargetNames,
    by_role,
    has_classes,
    is_known,
    known_targets,
    measurable_targets,
    regress_targets,
    require_images_to_fit_on,
    train_probes,
)
from simssl.blocks.statistics import (
    DISENTANGLEMENT,
    Codes,
    Factor,
    disentanglement_scores,
    majority_share,
    skill_of_accuracy,
)

CONSTANT = "it does not vary over the images to fit on, to select on, or of test"
TOO_FEW = "there are fewer than two targets that vary"
NO_IMAGES = "too few images have all targets"
LEAST = 20
"""Images of each split that disentanglement is measured on at least."""


@dataclass(frozen=True)
class Skill:
    """How much of a target a probe finds: 1 is all of it, 0 what a constant finds."""

    value: float
    protocol: Mapping[str, Any] = field(default_factory=dict)
    undertrained: bool = False


class Factors(Evaluator):
    """How much of each target of the data set a probe finds in one layer, and whether single latents hold it.

    `<target>/linear` and `<target>/mlp` are on one scale: 1 if all is right on test, 0 if a constant does as well, and
    not clipped. Of numbers it is R2, of ridge regression and of an MLP. Numbers with a period are regressed as cosine
    and sine, with one R2 over both, 1 - sum SSE / sum SST. Of classes it is accuracy above chance, (accuracy - c) /
    (1 - c), where c is the share of the most frequent class in test; the probes are those of `linear_probe` and
    `mlp_probe`. `linear` and `mlp` are the means over all targets, and where there are both, over the content and over
    the style targets (`content_mlp`, `style_mlp` and so on).

    `dci/` are the disentanglement, completeness and informativeness of Eastwood & Williams 2018, `infomec/` the
    modularity, explicitness and compactness of Hsu et al. 2023, and `mig/gap` is that of Chen et al. 2018: 1 at best, 0
    by chance. The time that they take grows with the latents times the targets.
    """

    class Params(simssl.Params):
        targets: TargetNames | None = None
        "Targets of the data set to measure; all that are numbers or have classes if empty."
        mlp_steps: int = Field(4000, ge=1)
        "Most steps of the MLP that regresses numbers, in batches of 256. Ours."
        steps: int = Field(100_000, ge=1)
        "Most steps of a classifier that is trained until it has converged. Ours, as in mlp_probe."
        images: int = Field(4000, ge=LEAST)
        "Most images of each split, at random, that dci, infomec and mig are measured on. Ours."
        layer: LayerName = "representation"

    needs = frozenset({"test"})

    def check(self, data: Data) -> None:
        known_targets(data, self.params.targets)
        require_images_to_fit_on(data)

    @classmethod
    def oracle(cls) -> Oracle:
        names = ("corner", "shade", "angle")
        best = {f"{name}/{probe}": (0.9, 1.0) for name in names for probe in ("linear", "mlp")}
        chance = {f"{name}/{probe}": (-0.4, 0.25) for name in names for probe in ("linear", "mlp")}
        scores = ("dci/disentanglement", "dci/completeness", "infomec/modularity", "infomec/compactness", "mig/gap")
        return Oracle(
            representation=_told,
            data=Data.of(_squares(300, 0), _squares(150, 1)),
            values=best | {"linear": (0.9, 1.0), "infomec/explicitness": (0.9, 1.0), "infomec/modularity": (0.8, 1.0)},
            params={"mlp_steps": 150, "steps": 500},
            noise=chance | dict.fromkeys(scores, (0.0, 0.3)) | {"infomec/explicitness": (-0.2, 0.2)},
        )

    def run(self, subject: Subject) -> Result:
        targets = subject.data.train.targets
        names = measurable_targets(targets, self.params.targets)
        if not names:
            raise Skip("the data set has no targets")
        varying = [name for name in names if _varies(subject, name)]
        constant = [name for name in names if name not in varying]
        skipped = {f"{name}/{probe}": CONSTANT for name in constant for probe in ("linear", "mlp")}
        metrics: dict[str, Metric] = {}
        of_targets: dict[str, Metric] = {}
        for probe in ("linear", "mlp"):
            skills = self._skills(subject, varying, probe)
            metrics |= _means(probe, skills, targets)
            of_targets |= {f"{name}/{probe}": _metric(skills[name], targets[name].role) for name in varying}
        scores, reasons = self._disentanglement(subject, varying)
        return Result({**metrics, **of_targets, **scores}, protocol=self._protocol(subject), skipped=skipped | reasons)

    def _protocol(self, subject: Subject) -> dict[str, object]:
        return {
            "split": "test",
            "layer": self.params.layer,
            "features": f"{self.params.layer}, standardised",
            "selection": f"of each probe on {subject.data.held_out}; then refitted on all of train",
        }

    def _skills(self, subject: Subject, names: Sequence[str], probe: str) -> dict[str, Skill]:
        """How much of each target this probe finds."""
        params = self.params
        targets = subject.data.train.targets
        classes = tuple(name for name in names if has_classes(targets[name]))
        numbers = [name for name in names if name not in classes]
        skills = {}
        regressions = regress_targets(
            subject, numbers, "ridge" if probe == "linear" else "mlp", params.layer, params.mlp_steps
        )
        for regressed in regressions:
            skills[regressed.target] = _of_numbers(regressed, probe, targets[regressed.target])
        if classes:
            settings = ProbeParams(targets=classes, steps=params.steps, layer=params.layer)
            for probed in train_probes(subject, settings, hidden=0 if probe == "linear" else 1):
                skills[probed.target] = _above_chance(probed, probe)
        return skills

    def _disentanglement(self, subject: Subject, names: Sequence[str]) -> tuple[dict[str, Metric], dict[str, str]]:
        """The scores of disentanglement, and why others are not there."""
        if len(names) < 2:
            return {}, dict.fromkeys(DISENTANGLEMENT, TOO_FEW)
        fit_N, held_out_N = subject.selection()
        train_N = torch.cat([fit_N, held_out_N])
        test_ND = subject.features("test", self.params.layer)
        test_N = torch.randperm(len(test_ND), generator=subject.generator, device=subject.device)
        fit = self._codes(subject, "train", names, train_N)
        score = self._codes(subject, "test", names, test_N)
        if min(len(fit.z_ND), len(score.z_ND)) < LEAST or not all(map(_still_varies, (fit, score))):
            return {}, dict.fromkeys(DISENTANGLEMENT, NO_IMAGES)
        seed = int(torch.randint(2**31, (), generator=subject.generator, device=subject.device))
        values, reasons = disentanglement_scores(fit, score, seed)
        of = {"targets": list(names), "images": len(score.z_ND)}
        metrics = {
            name: Metric(value, "fraction", "higher", {**DISENTANGLEMENT[name], **of}) for name, value in values.items()
        }
        return metrics, reasons

    def _codes(self, subject: Subject, split: str, names: Sequence[str], order_N: Tensor) -> Codes:
        """The first images in this order of which all of the targets are known."""
        targets = (subject.data.train if split == "train" else subject.data.test).targets  # type: ignore[union-attr]
        known_N = torch.stack([is_known(targets[name]) for name in names]).all(0)
        order_N = order_N.cpu()
        index_N = order_N[known_N[order_N]][: self.params.images]
        z_ND = subject.features(split, self.params.layer).cpu()[index_N].double().numpy()
        factors = [Factor(targets[name].values[index_N].numpy(), targets[name].period) for name in names]
        return Codes(z_ND, factors)


def _varies(subject: Subject, name: str) -> bool:
    """True if a target varies over the images to fit on, over those to select on, and over test."""
    assert subject.data.test is not None
    train = subject.data.train.targets[name]
    test = subject.data.test.targets[name]
    known_N = is_known(train)
    parts = [test.values[is_known(test)]]
    for index_N in subject.selection():
        index_N = index_N.cpu()
        parts.append(train.values[index_N][known_N[index_N]])
    return all(len(values_N.unique()) > 1 for values_N in parts)


def _still_varies(codes: Codes) -> bool:
    return all(bool((factor.values_N != factor.values_N[0]).any()) for factor in codes.factors)


def _of_numbers(regressed: RegressedTarget, probe: str, target: Target) -> Skill:
    is_ridge = probe == "linear"
    protocol = {
        "score": "R2" if target.period is None else "R2 over cosine and sine, 1 - sum SSE / sum SST",
        "probe": "ridge regression, float64" if is_ridge else "MLP D-256-256-P",
        "selected": {"penalty" if is_ridge else "epochs": regressed.chosen},
    }
    return Skill(regressed.r2, protocol, regressed.undertrained)


def _above_chance(probed: ProbedTarget, probe: str) -> Skill:
    chance = majority_share(probed.labels_N.cpu().numpy())
    protocol = {
        "score": "accuracy above chance, (accuracy - c) / (1 - c), c the share of the most frequent class in test",
        "probe": "linear" if probe == "linear" else "MLP D-D-C",
        **probed.protocol,
        "found": {"accuracy": probed.accuracy, "c": chance},
    }
    return Skill(skill_of_accuracy(probed.accuracy, chance), protocol, probed.undertrained)


def _metric(skill: Skill, role: str | None) -> Metric:
    protocol = {"role": role, **skill.protocol}
    if skill.undertrained:
        protocol["found"] = {**protocol.get("found", {}), "undertrained": True}
    return Metric(skill.value, "skill", "higher", protocol)


def _means(probe: str, skills: Mapping[str, Skill], targets: Mapping[str, Target]) -> dict[str, Metric]:
    """The means over all targets, and where there are both, over the content and the style targets."""
    means = {}
    for role, names in by_role(list(skills), targets).items():
        if names:
            value = fmean(skills[name].value for name in names)
            undertrained = any(skills[name].undertrained for name in names)
            key = f"{role}_{probe}" if role else probe
            means[key] = _metric(Skill(value, {"mean over": sorted(names)}, undertrained), role or None)
    return means


def _squares(images: int, seed: int) -> Split:
    """Images whose pixels are their factors: a corner of four, a shade, and an angle by its cosine and sine."""
    generator = torch.Generator().manual_seed(seed)
    corner_N = torch.randint(4, (images,), generator=generator)
    shade_N, turn_N = torch.rand(2, images, generator=generator)
    numbers = [shade_N, (2 * math.pi * turn_N).cos() / 2 + 0.5, (2 * math.pi * turn_N).sin() / 2 + 0.5]
    one_hot_N4 = torch.nn.functional.one_hot(corner_N, 4).float()
    pixels_N8 = torch.cat([one_hot_N4, torch.stack(numbers, dim=1), torch.zeros(images, 1)], dim=1)
    rows_N188 = (255 * pixels_N8).to(torch.uint8)[:, None, None, :].expand(-1, 1, 8, -1).contiguous()
    targets = {
        "corner": Target(corner_N, ("nw", "ne", "sw", "se"), "content"),
        "shade": Target(shade_N, role="style"),
        "angle": Target(360 * turn_N, role="style", period=360),
    }
    return Split(rows_N188, targets)


def _told(x_B1HW: Tensor) -> Tensor:
    """The pixels of a row but the last: they tell the factors."""
    return x_B1HW[:, 0, 0, :-1]


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Factors

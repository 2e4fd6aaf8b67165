"""Collapse: whether what is related lies together, as the SSL Model predicts (Bizeul et al. 2024, section 4).

I counts images, J the views of each, N the images of groups.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Split, Subject
from simssl.blocks.groups import known_groups
from simssl.blocks.images import bar_charts
from simssl.blocks.losses import kl_standard
from simssl.blocks.messages import four_digits
from simssl.blocks.probes import LayerName
from simssl.blocks.statistics import (
    alignment,
    effective_rank,
    label_free,
    most_variance_ratio,
    rows_differ,
    uniformity,
    variance_ratio,
    variances_of_groups,
    variances_within_and_between,
)

ACTIVE = 0.01
"""Least variance of an active unit's posterior mean. Source: Burda et al. 2016, section 5.2."""

CONSTANT = "all images have the same representation"
SAME_VIEWS = "the views do not vary"


class Collapse(Evaluator):
    """How far a method collapses the views of an image together, and the dimensions of the representation.

    `within_over_between` is the variance within the views of an image over the variance between images, each an
    unbiased estimate (one-way analysis of variance, its groups the images) and summed over the dimensions: 0 if all
    views of an image have one representation. Where images differ no more than by chance it is held at what chance
    alone would give, and `found` in the protocol says so. Per latent dimension it is in the picture, and in `found`.

    `effective_rank` is that of all test images (Roy & Vetterli 2007); `alignment` and `uniformity` are those of Wang &
    Isola 2020, on representations of length 1. Where the posterior has a variance, `active_units` counts the
    dimensions whose posterior mean varies over images by more than 0.01 (Burda et al. 2016), and `latents/kl` is
    KL(q(z|x) || N(0, I)) per dimension.

    Where the run has `positives`, or with `groups`, `group_within_over_between` is the same ratio of the test images
    that share these targets, un-augmented, over groups of any sizes. `group_within` is their variance within groups,
    the mean over the dimensions. Beside it, in the protocol, stand the model's `sigma2` and the posteriors' mean
    variance, if there are such: z varies by sigma2 within a group of the model, and the posteriors' is a part of it.

    Three measures of the training images need no labels: `spectrum/rankme` (Garrido et al. 2023), `spectrum/lidar` of
    their views (Thilak et al. 2024), and `spectrum/alpha_req` (Agrawal et al. 2022), which is best about 1.
    """

    class Params(simssl.Params):
        views: int = Field(10, ge=2)
        "Views that are drawn of each image. Ours: J of the paper's SimVAE."
        images: int = Field(1000, ge=2)
        "Most test images that are taken, at random. Ours: 10,000 views, as many as most test splits have images."
        layer: LayerName = "representation"
        groups: Annotated[tuple[str, ...], Field(min_length=1)] | None = simssl.added(None)
        """Targets with classes that the images of a group share; or `group`, the data set's own groups. Those of the
        run's `positives` if empty."""

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self.needs = frozenset({"test"} if params.groups else {"test", "views_or_groups"})

    def check(self, data: Data) -> None:
        if data.test is None:
            return
        if len(data.test) < 2:
            raise ValueError("there is nothing to compare in a test split of one image")
        if self.params.groups:
            group_N, known_N = known_groups(data.test, self.params.groups)
            variances_of_groups(torch.zeros(len(group_N), 1)[known_N], group_N[known_N])

    @classmethod
    def oracle(cls) -> Oracle:
        grey_N111 = torch.arange(100, dtype=torch.uint8).view(-1, 1, 1, 1)
        images = Split(grey_N111.expand(-1, 1, 8, 8).contiguous())  # views of them are equal
        return Oracle(
            representation=_on_a_circle,
            data=Data.of(images, images),
            values={"within_over_between": (0.0, 1e-6), "alignment": (0.0, 1e-6), "effective_rank": (1.0, 1.5)},
            noise={"within_over_between": (5.0, math.inf), "alignment": (1.8, 2.2), "effective_rank": (1.9, 2.0)},
        )

    def run(self, subject: Subject) -> Result:
        assert subject.data.test is not None
        test = subject.data.test
        index_I = self._chosen(subject, test)
        z_IJD, vary = self._views(subject, test, index_I)
        all_ND = subject.features("test", self.params.layer)
        metrics, charts, skipped = _of_views(z_IJD, vary)
        if rows_differ(all_ND):
            of_all = {"images": "all of test, un-augmented"}
            metrics["effective_rank"] = Metric(effective_rank(all_ND), "dimensions", "higher", of_all)
        else:
            skipped["effective_rank"] = CONSTANT
        reason, posterior = self._posterior(subject, index_I)
        if posterior is None:
            skipped |= dict.fromkeys(("active_units", "latents/kl"), reason)
        else:
            mean_ID, variance_ID = posterior
            unit_metrics, kl_D = _units(mean_ID, variance_ID)
            metrics |= unit_metrics
            charts["KL(q || N(0, I)) of each latent, nats"] = kl_D
        names = self.params.groups or subject.shared
        if names:
            of_groups, of_latents, reasons = _of_groups(subject, names, all_ND, posterior)
            metrics |= of_groups
            charts |= of_latents
            skipped |= reasons
        of_train, reasons = self._spectra(subject)
        metrics |= of_train
        skipped |= reasons
        images = {"latents": bar_charts(charts)} if charts else {}
        return Result(metrics, images, self._protocol(len(index_I)), skipped=skipped)

    def _protocol(self, images: int) -> dict[str, object]:
        return {
            "split": f"{self.params.views} views of each of {images} test images",
            "layer": self.params.layer,
            "features": f"{self.params.layer}, as it is (of length 1 for alignment and uniformity)",
        }

    def _chosen(self, subject: Subject, split: Split) -> Tensor:
        order_N = torch.randperm(len(split), generator=subject.generator, device=subject.device)
        return order_N[: self.params.images].sort().values.cpu()

    def _views(self, subject: Subject, split: Split, index_I: Tensor) -> tuple[Tensor, bool]:
        """Representations (I, J, D) of the views of these images of a split, and whether the views vary."""
        J = self.params.views
        parts = []
        vary = False
        for index_B in index_I.split(max(1, 1000 // J)):
            images_BCHW = split.images[index_B]
            x_BJCHW, drawn = subject.draw_views(images_BCHW, J)
            vary = vary or any(bool(values_BJ.min() < values_BJ.max()) for values_BJ in drawn.values())
            z_MD = subject.encode(x_BJCHW.flatten(0, 1), self.params.layer)
            parts.append(z_MD.unflatten(0, (len(index_B), J)))
        return torch.cat(parts), vary

    def _spectra(self, subject: Subject) -> tuple[dict[str, Metric], dict[str, str]]:
        """What is measured on the training images, without labels, and why it is not there."""
        train = subject.data.train
        index_I = self._chosen(subject, train)
        z_IJD, vary = self._views(subject, train, index_I)
        of_views = {"split": f"{self.params.views} views of each of {len(index_I)} training images"}
        metrics: dict[str, Metric] = {}
        skipped = {} if vary else {"spectrum/lidar": SAME_VIEWS}
        z_ND = subject.features("train", self.params.layer)
        for name, measure in label_free(z_ND, z_IJD if vary else None).items():
            key = f"spectrum/{name}"
            if math.isnan(measure.value):
                skipped[key] = measure.reason
                continue
            protocol = of_views if name == "lidar" else {"split": "train, un-augmented"}
            metrics[key] = Metric(measure.value, measure.unit, measure.better, protocol, measure.value)
        return metrics, skipped

    def _posterior(self, subject: Subject, index_I: Tensor) -> tuple[str, tuple[Tensor, Tensor] | None]:
        """Mean and variance (I, D) of these un-augmented test images; or why there are none."""
        if self.params.layer != "representation":
            return "it is measured on the representation alone", None
        means = []
        variances = []
        for index_B in index_I.split(1000):
            posterior = subject.posterior(subject.images("test", index_B))
            if posterior.variance is None:
                return "the posterior has no variance", None
            means.append(posterior.mean)
            variances.append(posterior.variance)
        return "", (torch.cat(means).double(), torch.cat(variances).double())


def _on_a_circle(x_BCHW: Tensor) -> Tensor:
    """The mean brightness of the images as an angle, (B, 2)."""
    angle_B = x_BCHW.flatten(1).mean(1)
    return torch.stack([angle_B.cos(), angle_B.sin()], dim=1)


def _of_views(z_IJD: Tensor, vary: bool) -> tuple[dict[str, Metric], dict[str, Tensor], dict[str, str]]:
    """What is measured on the views, its charts, and why other metrics are not there."""
    if not vary:
        return {}, {}, dict.fromkeys(("within_over_between", "alignment", "uniformity"), SAME_VIEWS)
    metrics = {
        "alignment": Metric(alignment(z_IJD), "squared distance", "lower", {"alpha": 2}),
        "uniformity": Metric(uniformity(z_IJD), "log potential", "lower", {"t": 2}),
    }
    if not rows_differ(z_IJD.flatten(0, 1)):
        return metrics, {}, {"within_over_between": CONSTANT}
    within_D, between_D = variances_within_and_between(z_IJD)
    images, views = z_IJD.shape[:2]
    ratio_D = variance_ratio(within_D, between_D, images, views)
    ratio = variance_ratio(within_D.sum(), between_D.sum(), images, views)
    held = bool(ratio >= most_variance_ratio(images, views))
    protocol = {"found": {"per latent": four_digits(ratio_D.tolist()), "held": held}}
    of_ratio = {"within_over_between": Metric(float(ratio), "ratio of variances", None, protocol)}
    return of_ratio | metrics, {"variance within / between images, of each latent": ratio_D}, {}


def _of_groups(
    subject: Subject, names: Sequence[str], z_ND: Tensor, posterior: tuple[Tensor, Tensor] | None
) -> tuple[dict[str, Metric], dict[str, Tensor], dict[str, str]]:
    """What is measured on groups of test images, its charts, and why it is not there."""
    assert subject.data.test is not None
    try:
        group_N, known_N = known_groups(subject.data.test, names)
        found = variances_of_groups(z_ND[known_N.to(z_ND.device)], group_N[known_N])
    except ValueError as error:
        return {}, {}, dict.fromkeys(("group_within_over_between", "group_within"), f"of test: {error}")
    shared = {
        "split": "test, un-augmented",
        "groups share": list(names),
        "groups": found.groups,
        "images": found.images,
        "groups of one image": found.alone,
    }
    of_within: dict[str, object] = {"per latent": four_digits(found.within_D.tolist()), "sigma2": subject.sigma2}
    if posterior is not None:
        of_within["variance of the posteriors"] = float(posterior[1].mean())
    within = float(found.within_D.mean())
    metrics = {"group_within": Metric(within, "variance", None, {**shared, "found": of_within})}
    if not rows_differ(z_ND):
        return metrics, {}, {"group_within_over_between": CONSTANT}
    held = found.ratio >= found.most
    protocol = {**shared, "found": {"per latent": four_digits(found.ratio_D.tolist()), "held": held}}
    metrics["group_within_over_between"] = Metric(found.ratio, "ratio of variances", None, protocol)
    return metrics, {"variance within / between groups, of each latent": found.ratio_D}, {}


def _units(mean_ID: Tensor, variance_ID: Tensor) -> tuple[dict[str, Metric], Tensor]:
    """The active units of the posteriors and the KL per unit, and the KL of each unit (D,)."""
    kl_ID = kl_standard(mean_ID[..., None], variance_ID.log()[..., None])
    kl_D = kl_ID.mean(0)
    active = int((mean_ID.var(0) > ACTIVE).sum())
    images = {"images": "the same images, un-augmented"}
    of_active = {**images, "of": len(kl_D), "variance above": ACTIVE}
    of_kl = {**images, "found": {"per latent": four_digits(kl_D.tolist())}}
    metrics = {
        "active_units": Metric(active, "units", "higher", of_active),
        "latents/kl": Metric(float(kl_D.mean()), "nats/unit", None, of_kl),
    }
    return metrics, kl_D


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Collapse

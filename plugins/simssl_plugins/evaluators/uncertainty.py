"""Uncertainty: whether the posterior's variance knows what is hard, and what is of another data set.

O counts the images of the other data set, k neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Split, Subject, Target
from simssl.blocks.probes import class_targets, labelled_targets
from simssl.blocks.statistics import auroc, nearest_rows, rank_correlation, risk_coverage, vote_of_nearest

BATCH = 1000

NO_DECODER = "the method has no decoder"
NO_CLASSES = "the data set has no labels"
ALIKE = "all images have the same variance, or the same error"


@dataclass(frozen=True)
class Images:
    """What is known of N un-augmented images: the posterior's mean and log variance, and what the decoder makes of it.

    `surprise_N` is -log p(x | z) at the posterior's mean, and `error_N` the squared error a pixel; both are None
    without a decoder.
    """

    mean_ND: Tensor
    log_variance_N: Tensor
    surprise_N: Tensor | None
    error_N: Tensor | None


class Uncertainty(Evaluator):
    """Whether the posterior's variance knows which test images are hard. An image's uncertainty is the sum of the log
    variances of its posterior, which is its entropy but for a constant.

    `<target>/auroc` is how often an image whose class the k nearest training images get wrong is more uncertain than
    one that they get right: 0.5 by chance. They are asked since nothing is trained or chosen for them, so that the
    errors are the representation's own. `<target>/aurc` is the area under the risk-coverage curve, the mean share of
    errors among the most certain images; in its protocol stand those of a random order, and of the best one.
    `reconstruction/correlation` is the rank correlation with the squared error of the decoded image.

    With `dataset: {name: mnist}`, say, the rest is how often an image of that set scores higher than a test image:
    `mnist/auroc_by_variance` by the uncertainty, `mnist/auroc_by_likelihood` by -log p(x | z) at the posterior mean, if
    the method decodes, and `mnist/auroc_by_distance` by the distance to the k-th nearest training image (Sun et al.
    2022, but on representations as they are). The images of the other set are brought to the shape of this one.
    """

    class Params(simssl.Params):
        target: str | None = None
        "Target of the data set whose class is predicted; the first that has classes if empty."
        k: int = Field(10, ge=1)
        "Neighbours that vote, and the neighbour whose distance counts. Ours."
        images: int = Field(10_000, ge=2)
        "Most images, at random, of test and of the other data set. Ours."

    needs = frozenset({"test", "variance"})
    takes_other_data = True

    def check(self, data: Data) -> None:
        names = [self.params.target] if self.params.target else class_targets(data.train.targets, None)[:1]
        labelled_targets(data, names)
        train = data.train.targets
        voters = min([len(data.train), *(int((train[name].values >= 0).sum()) for name in names)])
        if self.params.k > voters:
            raise ValueError(f"k is {self.params.k}, more than the {voters} training images to vote; set 'k' to less")

    @classmethod
    def oracle(cls) -> Oracle:
        chance = (0.3, 0.7)
        detections = ("other/auroc_by_variance", "other/auroc_by_likelihood", "other/auroc_by_distance")
        return Oracle(
            representation=lambda x_BCHW: x_BCHW.flatten(1),
            data=Data.of(_easy_and_hard(240, 0), _easy_and_hard(160, 1)),
            other=Split(torch.full((80, 1, 8, 8), 255, dtype=torch.uint8)),
            variance=_of_hardness,
            decode=lambda z_BD: 0.9 * z_BD.view(-1, 1, 8, 8),
            values={"corner/auroc": (0.75, 1.0), "corner/aurc": (0.0, 0.2), **dict.fromkeys(detections, (0.95, 1.0))},
            noise={"corner/auroc": chance, "corner/aurc": (0.5, 0.95), "reconstruction/correlation": (-0.3, 0.3)}
            | dict.fromkeys(("other/auroc_by_variance", "other/auroc_by_distance"), chance),
        )

    def run(self, subject: Subject) -> Result:
        assert subject.data.test is not None
        index_N = self._chosen(subject, len(subject.data.test))
        test = _encoded(subject, "test", index_N)
        metrics, skipped = self._of_errors(subject, test, index_N)
        of_decoder, reasons = _of_reconstruction(test)
        metrics |= of_decoder
        skipped |= reasons
        if subject.other is not None:
            other = _encoded(subject, "other", self._chosen(subject, len(subject.other)))
            detected, reasons = self._of_another(subject, test, other)
            metrics |= detected
            skipped |= reasons
        protocol = {
            "split": f"{len(index_N)} test images, un-augmented",
            "layer": "representation",
            "features": "representation, as it is",
            "uncertainty": "sum of the log variances of the posterior",
        }
        return Result(metrics, protocol=protocol, skipped=skipped)

    def _chosen(self, subject: Subject, N: int) -> Tensor:
        order_N = torch.randperm(N, generator=subject.generator, device=subject.device)
        return order_N[: self.params.images].sort().values

    def _of_errors(self, subject: Subject, test: Images, index_N: Tensor) -> tuple[dict[str, Metric], dict[str, str]]:
        """Whether the images whose class is predicted wrong are the uncertain ones."""
        targets = subject.data.train.targets
        name = self.params.target or next(iter(class_targets(targets, None)), None)
        if name is None:
            return {}, dict.fromkeys(("auroc", "aurc"), NO_CLASSES)
        assert subject.data.test is not None
        truth_N = subject.data.test.targets[name].values.to(subject.device)[index_N]
        known_N = truth_N >= 0
        predicted_N = self._predicted(subject, targets[name], test.mean_ND[known_N])
        is_wrong_N = predicted_N != truth_N[known_N]
        uncertainty_N = test.log_variance_N[known_N]
        if not len(is_wrong_N):
            return {}, dict.fromkeys((f"{name}/auroc", f"{name}/aurc"), "none of the test images has a label")
        curve = risk_coverage(is_wrong_N, uncertainty_N)
        by = {"errors of": f"{self.params.k} nearest training images, Euclidean, uniform, ties to the nearest"}
        beside = {"random order": curve.random, "best order": curve.oracle}
        metrics = {f"{name}/aurc": Metric(curve.area, "fraction", "lower", {**by, "found": beside})}
        separated = auroc(is_wrong_N, uncertainty_N)
        if separated is None:
            which = "all" if curve.random else "none"
            return metrics, {f"{name}/auroc": f"{which} of the predictions are wrong"}
        metrics[f"{name}/auroc"] = Metric(separated, "fraction", "higher", {**by, "found": {"errors": curve.random}})
        return metrics, {}

    def _predicted(self, subject: Subject, target: Target, z_ND: Tensor) -> Tensor:
        """The vote (N,) of the nearest training images that have a label."""
        labels_N = target.values.to(subject.device)
        known_N = labels_N >= 0
        bank_ND = subject.features("train")[known_N]
        return vote_of_nearest(z_ND, bank_ND, labels_N[known_N], self.params.k, len(target.classes or ()))

    def _of_another(self, subject: Subject, test: Images, other: Images) -> tuple[dict[str, Metric], dict[str, str]]:
        """Whether the images of the other data set are told from test images."""
        train_ND = subject.features("train")
        scores = {
            "variance": (test.log_variance_N, other.log_variance_N),
            "distance": tuple(_distance(each.mean_ND, train_ND, self.params.k) for each in (test, other)),
        }
        if test.surprise_N is not None and other.surprise_N is not None:
            scores["likelihood"] = (test.surprise_N, other.surprise_N)
        metrics = {}
        for by, (test_N, other_O) in scores.items():
            is_other = torch.cat([torch.zeros(len(test_N)), torch.ones(len(other_O))]).bool()
            value = auroc(is_other, torch.cat([test_N, other_O]))
            assert value is not None
            protocol = {"score": SCORES[by].format(k=self.params.k), "other images": len(other_O)}
            metrics[f"{subject.other_name}/auroc_by_{by}"] = Metric(value, "fraction", "higher", protocol)
        if "likelihood" in scores:
            return metrics, {}
        return metrics, {f"{subject.other_name}/auroc_by_likelihood": NO_DECODER}


SCORES: Mapping[str, str] = {
    "variance": "sum of the log variances of the posterior",
    "likelihood": "-log p(x | z) under the method's own likelihood, z the posterior mean",
    "distance": "Euclidean distance to the nearest training representation number {k}",
}
"""What is larger of an image that is taken to be of the other data set."""


def _of_reconstruction(test: Images) -> tuple[dict[str, Metric], dict[str, str]]:
    """Whether the images that are decoded badly are the uncertain ones."""
    key = "reconstruction/correlation"
    if test.error_N is None:
        return {}, {key: NO_DECODER}
    value = rank_correlation(test.log_variance_N, test.error_N)
    if value is None:
        return {}, {key: ALIKE}
    protocol = {"with": "squared error of the decoded posterior mean", "correlation": "Spearman's"}
    return {key: Metric(value, "rank correlation", "higher", protocol)}, {}


def _encoded(subject: Subject, split: str, index_N: Tensor) -> Images:
    """What is known of these images of a split."""
    parts = []
    for index_B in index_N.split(BATCH):
        x_BCHW = subject.images(split, index_B)
        posterior = subject.posterior(x_BCHW)
        assert posterior.variance is not None
        of_decoder: list[Tensor] = []
        if subject.likelihood is not None:
            logits_BCHW = subject.decode(posterior.mean)
            square_BCHW = (subject.likelihood.mean(logits_BCHW) - x_BCHW).square()
            of_decoder = [-subject.likelihood.log_prob(x_BCHW, logits_BCHW), square_BCHW.flatten(1).mean(1)]
        parts.append([posterior.mean, _log_variance(posterior.variance), *of_decoder])
    mean_ND, log_variance_N, *rest = [torch.cat(column) for column in zip(*parts, strict=True)]
    surprise_N, error_N = rest or (None, None)
    return Images(mean_ND, log_variance_N, surprise_N, error_N)


def _log_variance(variance_BD: Tensor) -> Tensor:
    """The sum (B,) of the log variances, which is finite even where a variance is rounded to 0."""
    least = torch.finfo(variance_BD.dtype).tiny
    return variance_BD.clamp(min=least).double().log().sum(1)


def _distance(z_ND: Tensor, train_ND: Tensor, k: int) -> Tensor:
    """The distance (N,) to the k-th nearest row."""
    farthest_N = nearest_rows(z_ND, train_ND, k)[:, -1]
    return (z_ND.double() - train_ND[farthest_N].double()).norm(dim=1)


def _easy_and_hard(images: int, seed: int) -> Split:
    """Images of one bright corner of four, every other one dark all over, so that its corner cannot be seen."""
    generator = torch.Generator().manual_seed(seed)
    corner_N = torch.randint(4, (images,), generator=generator)
    pixels_N188 = torch.randint(0, 20, (images, 1, 8, 8), generator=generator, dtype=torch.uint8)
    for i, corner in enumerate(corner_N.tolist()):
        if i % 2:
            top, left = 4 * (corner // 2), 4 * (corner % 2)
            pixels_N188[i, 0, top : top + 4, left : left + 4] += 60
    return Split(pixels_N188, {"corner": Target(corner_N, ("nw", "ne", "sw", "se"), "content")})


def _of_hardness(x_BCHW: Tensor) -> Tensor:
    """A variance (B, 64) that is small for an image with one bright corner, and largest for one that is bright."""
    mean_B = x_BCHW.flatten(1).mean(1)
    hardness_B = torch.where(mean_B > 0.5, 3.0, torch.where(mean_B > 0.06, 0.1, 1.0))
    return (hardness_B[:, None] + 0.01 * x_BCHW[:, 0, 0, :1]).expand(-1, 64)


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Uncertainty

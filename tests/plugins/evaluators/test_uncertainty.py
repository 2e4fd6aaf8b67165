"""uncertainty, on variances that know the errors or nothing of them, and beside another data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from subjects import Known, evaluator, noise
from torch import Tensor

from simssl.api import Likelihood, Posterior, Result, Split
from simssl.blocks.losses import Gaussian

N = 300
CONTRAST = 8 / 255
"""The first pixel of an image tells its number, in steps of this."""


class Uncertain(Known):
    """A subject whose posteriors are known: an image's features, and a variance for each image of a split.

    Half of the test images have the features of another class than their own.
    """

    likelihood: Likelihood | None = None

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        train_N, test_N = torch.randint(4, (2, N), generator=generator)
        self.wrong_N = torch.arange(N) % 2 == 0
        seen_N = torch.where(self.wrong_N, (test_N + 1) % 4, test_N)
        train, test = (5 * torch.eye(4)[labels] + 0.1 * noise(N, i, 4) for i, labels in enumerate((train_N, seen_N)))
        super().__init__(train, test, (train_N, test_N))
        self.other: Split | None = None
        self.other_name = "other"
        self.variances = {"test": torch.ones(N)}

    def add_other(self, features: Tensor, variance_N: Tensor) -> None:
        self.other = Split(torch.zeros(len(features), 1, 8, 8, dtype=torch.uint8))
        self._features["other"] = features
        self.variances["other"] = variance_N

    def images(self, split: str, index_B: Tensor) -> Tensor:
        self.split = split
        return index_B.double()[:, None, None, None].expand(-1, 1, 2, 2)

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        index_B = x_BCHW[:, 0, 0, 0].long()
        mean_BD = self._features[self.split][index_B]
        return Posterior(mean_BD, self.variances[self.split][index_B][:, None].expand_as(mean_BD))

    def decode(self, z_BD: Tensor) -> Tensor:
        """Logits of nothing: the larger an image's number, the worse it is decoded."""
        return torch.full((len(z_BD), 1, 2, 2), -20.0)


def run(subject: Uncertain, **params: object) -> Result:
    uncertainty = evaluator("uncertainty", **params)
    uncertainty.check(subject.data)
    result: Result = uncertainty.run(subject)  # type: ignore[arg-type]
    json.dumps([dict(metric.protocol) for metric in result.metrics.values()], allow_nan=False)
    return result


def value(result: Result, name: str) -> float:
    return result.metrics[name].value


def test_a_variance_that_knows_the_errors_is_best() -> None:
    subject = Uncertain()
    subject.variances["test"] = 1.0 + subject.wrong_N
    result = run(subject)
    assert value(result, "class/auroc") == 1
    beside = result.metrics["class/aurc"].protocol["found"]
    assert value(result, "class/aurc") == pytest.approx(beside["best order"])
    assert beside["random order"] == 0.5


@pytest.mark.parametrize("variance", ["noise", "permuted", "constant"])
def test_a_variance_that_knows_nothing_is_chance(variance: str) -> None:
    subject = Uncertain()
    generator = torch.Generator().manual_seed(3)
    subject.variances["test"] = {
        "noise": torch.rand(N, generator=generator) + 0.1,
        "permuted": (1.0 + subject.wrong_N)[torch.randperm(N, generator=generator)],
        "constant": torch.ones(N),
    }[variance]
    result = run(subject)
    assert value(result, "class/auroc") == pytest.approx(0.5, abs=0.1)
    assert value(result, "class/aurc") == pytest.approx(0.5, abs=0.1)


def test_a_variance_that_is_rounded_to_zero_is_no_error() -> None:
    subject = Uncertain()
    subject.variances["test"] = torch.where(subject.wrong_N, 1.0, 0.0)
    assert value(run(subject), "class/auroc") == 1


def test_images_without_a_label_do_not_count() -> None:
    subject = Uncertain()
    assert subject.data.test is not None
    subject.data.test.targets["class"].values[subject.wrong_N] = -1
    result = run(subject)
    assert value(result, "class/aurc") == 0
    assert result.skipped["class/auroc"] == "none of the predictions are wrong"


def test_without_classes_the_rest_is_measured() -> None:
    subject = Uncertain()
    subject.set_targets()
    subject.likelihood = Gaussian(1.0)
    result = run(subject)
    assert result.skipped["auroc"] == "the data set has no labels"


def test_reconstruction_is_correlated_with_the_variance() -> None:
    subject = Uncertain()
    subject.likelihood = Gaussian(1.0)
    subject.variances["test"] = torch.linspace(1, 2, N)
    assert value(run(subject), "reconstruction/correlation") == pytest.approx(1)
    subject.variances["test"] = torch.linspace(2, 1, N)
    assert value(run(subject), "reconstruction/correlation") == pytest.approx(-1)
    subject.variances["test"] = torch.ones(N)
    assert "same variance" in run(subject).skipped["reconstruction/correlation"]


DETECTIONS = [f"other/auroc_by_{by}" for by in ("variance", "distance")]


def test_another_data_set_is_told_by_variance_and_distance() -> None:
    subject = Uncertain()
    subject.add_other(torch.full((100, 4), -30.0), torch.full((100,), 9.0))
    result = run(subject)
    assert [value(result, name) for name in DETECTIONS] == [1, 1]
    assert result.skipped["other/auroc_by_likelihood"] == "the method has no decoder"
    assert result.metrics[DETECTIONS[0]].protocol["other images"] == 100


def test_the_same_images_again_are_not_told() -> None:
    subject = Uncertain()
    subject.variances["test"] = torch.rand(N) + 0.5
    subject.likelihood = Gaussian(1.0)
    subject.add_other(subject.features("test"), subject.variances["test"])
    result = run(subject)
    found = [value(result, name) for name in (*DETECTIONS, "other/auroc_by_likelihood")]
    assert found == pytest.approx([0.5, 0.5, 0.5])


def test_images_are_drawn_at_random() -> None:
    subject = Uncertain()
    result = run(subject, images=50)
    assert result.protocol["split"] == "50 test images, un-augmented"


def test_too_few_voters_are_refused_before_training() -> None:
    subject = Uncertain()
    with pytest.raises(ValueError, match="k is 301, more than the 300 training images"):
        run(subject, k=301)
    with pytest.raises(ValueError, match=r"no target 'clas'.*did you mean 'class'"):
        run(subject, target="clas")


# --- the other data set, through the file ------------------------------------------------------------------

SHAPES = {"name": "shapes", "images": 60, "test_images": 40, "size": 32}


def test_a_data_set_is_named_in_the_file(simssl: Callable[..., Any], small: Callable[..., Path]) -> None:
    """Its images have other sizes and colours than the run's."""
    asked = {"name": "uncertainty", "as": "unsure", "dataset": SHAPES}
    file = small(evaluators=[asked], objective={"name": "vae"})
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    (metrics,) = (json.loads(path.read_text())["metrics"] for path in Path("runs/small").glob("*/metrics.json"))
    entry = metrics["unsure/shapes/auroc_by_likelihood"]
    assert entry["protocol"]["evaluator"]["dataset"]["name"] == "shapes"
    assert entry["protocol"]["other images"] == 40
    assert entry["protocol"]["other data"] != entry["protocol"]["data"]
    assert "other data" not in metrics["unsure/class/aurc"]["protocol"]
    assert "is done already" in simssl("run", file).stderr
    (folder,) = Path("runs/small").glob("vae*")
    assert "is measured again" in simssl("evaluate", folder, "-e", json.dumps(asked)).stderr


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ({"name": "image_folder", "path": "nowhere"}, "dataset 'image_folder': "),
        ({"name": "shaps"}, "small.yaml:14:19: no dataset is called 'shaps'; did you mean 'shapes'?"),
        ({"name": "digits", "size": 3}, "unknown key 'size'"),
        ("digits", "the dataset is a mapping such as {name: digits}"),
    ],
)
def test_a_data_set_that_is_not_there_is_told_before_training(
    simssl: Callable[..., Any], small: Callable[..., Path], dataset: object, sentence: str
) -> None:
    result = simssl("run", small(evaluators=[{"name": "uncertainty", "dataset": dataset}]))
    assert result.exit_code != 0
    assert sentence in result.stderr
    assert not list(Path("runs").rglob("checkpoint.pt"))

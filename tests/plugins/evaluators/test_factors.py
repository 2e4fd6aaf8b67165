"""factors, on representations that tell the targets, none of them, or those of other images."""

from __future__ import annotations

import math

import pytest
import torch
from subjects import Known, evaluator, noise
from torch import Tensor

from simssl.api import Result, Skip, Target
from simssl.blocks.statistics import DISENTANGLEMENT

IMAGES = (300, 150)

Targets = dict[str, tuple[Target, Target]]


def drawn() -> Targets:
    """A content class of uneven shares, and as style a number and an angle, of training and of test images."""
    generator = torch.Generator().manual_seed(0)
    names = ("a", "b", "c")
    both: dict[str, list[Target]] = {"shape": [], "size": [], "angle": []}
    for n in IMAGES:
        shape = torch.tensor([0, 0, 0, 1, 2])[torch.randint(5, (n,), generator=generator)]
        size, turn = torch.rand(2, n, generator=generator)
        both["shape"].append(Target(shape, names, "content"))
        both["size"].append(Target(5 + size, role="style"))
        both["angle"].append(Target(360 * turn, role="style", period=360))
    return {name: (train, test) for name, (train, test) in both.items()}


def told(targets: Targets) -> tuple[Tensor, Tensor]:
    """What tells them: a latent for each class, one for the size, and two for the angle."""
    features = []
    for i in range(2):
        shape, size, angle = (targets[name][i].values for name in ("shape", "size", "angle"))
        radians = angle / 180 * math.pi
        one_hot = torch.nn.functional.one_hot(shape, 3)
        features.append(torch.cat([one_hot, torch.stack([size, radians.cos(), radians.sin()], 1)], 1))
    return features[0], features[1]


def run(features: tuple[Tensor, Tensor], drawn: Targets, **params: object) -> Result:
    subject = Known(*features, labels=(torch.zeros(IMAGES[0]).long(), torch.zeros(IMAGES[1]).long()))
    subject.set_targets(**drawn)
    settings = {"images": 100, "steps": 200, "mlp_steps": 120, **params}
    factors = evaluator("factors", **settings)
    factors.check(subject.data)
    result: Result = factors.run(subject)
    return result


def values(result: Result, *names: str) -> list[float]:
    return [result.metrics[name].value for name in names]


OF_TARGETS = [f"{name}/{probe}" for name in ("shape", "size", "angle") for probe in ("linear", "mlp")]


def test_what_a_representation_tells_is_found_on_one_scale() -> None:
    targets = drawn()
    result = run(told(targets), targets)
    assert min(values(result, *OF_TARGETS)) > 0.9
    linear = dict(
        zip(("shape", "size", "angle"), values(result, "shape/linear", "size/linear", "angle/linear"), strict=True)
    )
    means = values(result, "linear", "content_linear", "style_linear")
    expected = [sum(linear.values()) / 3, linear["shape"], (linear["size"] + linear["angle"]) / 2]
    assert means == pytest.approx(expected)
    assert result.metrics["style_linear"].protocol["role"] == "style"
    assert {metric.unit for name, metric in result.metrics.items() if name not in DISENTANGLEMENT} == {"skill"}
    assert not result.skipped


@pytest.mark.parametrize("case", ["noise", "permuted"])
def test_noise_and_other_images_targets_are_chance(case: str) -> None:
    """Though three of five images have one class, which an accuracy would credit."""
    targets = drawn()
    features = noise(IMAGES[0], 1), noise(IMAGES[1], 2)
    if case == "permuted":
        fit, test = (z[torch.randperm(len(z), generator=torch.Generator().manual_seed(5))] for z in told(targets))
        features = fit, test
    result = run(features, targets)
    assert max(values(result, *OF_TARGETS)) < 0.1
    assert result.metrics["shape/linear"].protocol["found"]["accuracy"] > 0.4
    scores = set(DISENTANGLEMENT) & set(result.metrics)
    assert max(values(result, *scores)) < 0.35


def test_images_without_a_target_do_not_count() -> None:
    """A third has no label, another third no number; the features of the third are noise."""
    targets = drawn()
    features = told(targets)
    for i, n in enumerate(IMAGES):
        without = torch.arange(n) % 3 == 0
        targets["shape"][i].values[without] = -1
        targets["size"][i].values[without] = math.nan
        features[i][without, :4] = noise(int(without.sum()), 7, 4)
    result = run(features, targets)
    assert min(values(result, *OF_TARGETS)) > 0.9
    assert result.metrics["mig/gap"].protocol["images"] == 100
    assert all(math.isfinite(metric.value) for metric in result.metrics.values())


def test_a_target_that_does_not_vary_is_skipped_and_others_are_not() -> None:
    targets = drawn()
    targets["size"] = (Target(torch.ones(IMAGES[0]), role="style"), targets["size"][1])
    result = run(told(targets), targets)
    assert set(result.skipped) == {"size/linear", "size/mlp"}
    assert "does not vary" in result.skipped["size/linear"]
    assert result.metrics["mlp"].protocol["mean over"] == ["angle", "shape"]


def test_one_target_has_no_disentanglement() -> None:
    targets = drawn()
    result = run(told(targets), targets, targets=("angle",))
    assert set(result.metrics) == {"linear", "mlp", "angle/linear", "angle/mlp"}
    assert set(result.skipped) == set(DISENTANGLEMENT)


def test_one_latent_is_not_compared_with_others() -> None:
    targets = drawn()
    fit, test = told(targets)
    result = run((fit[:, 3:4], test[:, 3:4]), targets)
    assert {"dci/informativeness", "infomec/explicitness"} <= set(result.metrics)
    assert result.skipped["mig/gap"] == "one latent alone is active"


def test_a_constant_representation_knows_nothing() -> None:
    result = run((torch.ones(IMAGES[0], 4), torch.ones(IMAGES[1], 4)), drawn())
    assert max(values(result, *OF_TARGETS)) < 0.01
    assert all(math.isfinite(metric.value) for metric in result.metrics.values())


def test_without_targets_it_is_skipped() -> None:
    with pytest.raises(Skip, match="no targets"):
        run((noise(IMAGES[0], 1), noise(IMAGES[1], 2)), {})


def test_what_cannot_be_measured_is_refused_before_training() -> None:
    targets = drawn()
    with pytest.raises(ValueError, match=r"no target 'sise' of numbers.*did you mean 'size'"):
        run(told(targets), targets, targets=("sise",))
    targets["size"][1].values.fill_(math.nan)
    with pytest.raises(ValueError, match="no image of the test split has a number of 'size'"):
        run(told(targets), targets)


def test_too_few_steps_are_told(caplog: pytest.LogCaptureFixture) -> None:
    targets = drawn()
    result = run(told(targets), targets, targets=("angle",), mlp_steps=4)
    assert "still gains R2 after 4 steps: raise 'mlp_steps'" in caplog.text
    assert result.metrics["angle/mlp"].protocol["found"]["undertrained"]
    assert result.metrics["mlp"].protocol["found"]["undertrained"]
    caplog.clear()
    run(told(targets), targets, targets=("angle",))
    assert "still gains" not in caplog.text

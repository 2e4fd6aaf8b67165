"""`gmm`: an oracle, noise, permuted labels, scikit-learn's own mixture with every assignment tried, and a collapse."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture
from subjects import CLASSES, Known, Labels, evaluator, labelled, noise, oracle, target
from torch import Tensor

SCORES = ("accuracy", "nmi", "ari")


def scores(subject: Known, **params: object) -> dict[str, float]:
    metrics = evaluator("gmm", **params).run(subject).metrics
    return {key.removeprefix("class/"): metric.value for key, metric in metrics.items()}


def blobs(labels: Labels, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Overlapping clouds, each longer in a direction of its own."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(CLASSES, 3, generator=generator)
    shapes = torch.randn(CLASSES, 3, 3, generator=generator)
    parts = [centres[y] + (noise(len(y), i, 3)[:, None] @ shapes[y])[:, 0] for i, y in enumerate(labels, 1)]
    return parts[0], parts[1]


def test_labels_as_representation_reach_the_best_score() -> None:
    assert scores(oracle(labelled())) == {"accuracy": 1, "nmi": pytest.approx(1), "ari": pytest.approx(1)}


def test_noise_falls_to_chance() -> None:
    """Which for the best of 24 assignments of 1,000 images is a little above 1/4."""
    values = scores(Known(noise(1000, 1), noise(1000, 2), labelled(1000, 1000)))
    assert 0.25 <= values["accuracy"] < 0.32
    assert values["nmi"] == pytest.approx(0, abs=0.02)
    assert values["ari"] == pytest.approx(0, abs=0.02)


def test_permuted_labels_fall_to_chance() -> None:
    labels = labelled(1000, 1000)
    good = oracle(labels)
    permuted = labels[1][torch.randperm(1000, generator=torch.Generator().manual_seed(9))]
    values = scores(Known(good.features("train"), good.features("test"), (labels[0], permuted)))
    assert 0.25 <= values["accuracy"] < 0.32
    assert values["nmi"] == pytest.approx(0, abs=0.02)
    assert values["ari"] == pytest.approx(0, abs=0.02)


def test_it_is_scikit_learns_mixture_with_the_best_of_all_assignments() -> None:
    labels = labelled(600, 400)
    train, test = blobs(labels)
    values = scores(Known(train, test, labels))
    mixture = GaussianMixture(CLASSES, n_init=20, random_state=123).fit(train.double().numpy())
    component_N, label_N = mixture.predict(test.double().numpy()), labels[1].numpy()
    assignments = itertools.permutations(range(CLASSES))
    accuracy = max((np.array(assignment)[component_N] == label_N).mean() for assignment in assignments)
    assert 0.5 < accuracy < 0.99, "nothing is compared at an end of the scale"
    assert values["accuracy"] == pytest.approx(accuracy, abs=0.005)
    assert values["nmi"] == pytest.approx(normalized_mutual_info_score(label_N, component_N), abs=0.01)
    assert values["ari"] == pytest.approx(adjusted_rand_score(label_N, component_N), abs=0.01)


def test_it_is_fitted_without_labels() -> None:
    labels = labelled()
    train, test = blobs(labels)
    other = (labels[0].flip(0), labels[1])
    assert scores(Known(train, test, labels)) == scores(Known(train, test, other))


def test_the_scale_of_the_representation_does_not_matter() -> None:
    labels = labelled()
    train, test = blobs(labels)
    small = scores(Known(1e-4 * train, 1e-4 * test, labels))
    assert small == pytest.approx(scores(Known(train, test, labels)), abs=0.01)


@pytest.mark.parametrize("value", [0.0, 0.1, 3.0])
def test_a_collapsed_representation_is_at_chance(value: float) -> None:
    """One component takes all: the share of the most frequent class, and no information."""
    labels = labelled()
    values = scores(Known(torch.full((400, 5), value), torch.full((200, 5), value), labels))
    assert values["accuracy"] == labels[1].bincount().max().item() / 200
    assert values["nmi"] == values["ari"] == 0


def test_a_representation_of_one_direction_has_a_mixture() -> None:
    labels = labelled()
    line = [torch.stack([y.float()] * 5, 1) + 0.01 * noise(len(y), 1, 1) for y in labels]
    assert scores(Known(line[0], line[1], labels))["accuracy"] == 1


def test_unlabelled_test_images_do_not_count() -> None:
    labels = labelled()
    known = oracle((labels[0], labels[1].clone()))
    labels[1][::3] = -1
    known.features("test")[::3] = noise(67, 8, 16)
    values = scores(Known(known.features("train"), known.features("test"), labels))
    assert values["accuracy"] == 1


def test_targets_have_a_component_for_each_class() -> None:
    """A class that does not occur in test has one too; and halves of the classes are found by two components."""
    labels = labelled()
    corners = 10 * torch.tensor([[0.0, 0, 5, 5], [0, 1, 0, 1]]).T
    subject = Known(*(corners[y] + noise(len(y), i, 2) for i, y in enumerate(labels)), labels)
    subject.set_targets(
        **{"class": target(labels, CLASSES)},
        half=target((labels[0] // 2, labels[1] // 2), 2),
        two=target((labels[0], labels[1].clamp(max=1)), CLASSES),
    )
    metrics = evaluator("gmm", starts=5).run(subject).metrics
    assert metrics["class/accuracy"].value == metrics["half/accuracy"].value == 1
    assert set(metrics) == {f"{name}/{score}" for name in ("class", "half", "two") for score in SCORES}
    assert 0.4 < metrics["two/accuracy"].value < 0.6


def test_a_target_of_which_one_class_is_in_test_is_skipped() -> None:
    """Of one class even a constant representation would have accuracy, NMI and ARI 1."""
    labels = labelled()
    subject = Known(torch.zeros(400, 5), torch.zeros(200, 5), labels)
    one = labels[1].clamp(max=0)
    one[::3] = -1
    subject.set_targets(**{"class": target(labels, CLASSES)}, first=target((labels[0], one), CLASSES))
    result = evaluator("gmm", starts=2).run(subject)
    assert set(result.metrics) == {f"class/{score}" for score in SCORES}
    reason = "the test split has images of one class of 'first' alone"
    assert result.skipped == {f"first/{score}": reason for score in SCORES}
    subject.set_targets(first=target((labels[0], one), CLASSES))
    alone = evaluator("gmm", starts=2).run(subject)
    assert not alone.metrics
    assert set(alone.skipped) == {f"first/{score}" for score in SCORES}


def test_its_protocol_says_where_the_assignment_was_made() -> None:
    result = evaluator("gmm", starts=2).run(oracle(labelled()))
    assert "labels of test" in str(result.protocol["assignment"])
    assert "without labels" in str(result.protocol["fitted on"])
    assert result.metrics["class/nmi"].protocol["found"]["converged"]

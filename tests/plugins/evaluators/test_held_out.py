"""The number on held-out images, by which settings may be chosen: what it is, and that nothing of test is in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from subjects import CLASSES, Known, evaluator, labelled, noise, target
from torch import Tensor

from simssl.api import Metric

PAPER = {"protocol": "paper", "epochs": 8, "lr": 1e-2}

EXACT: list[tuple[str, dict[str, Any]]] = [
    ("knn", {}),
    ("knn", {"k": 7}),
    ("knn", {"k": 30, "distance": "cosine", "temperature": 0.1}),
    ("linear_probe", PAPER),
    ("mlp_probe", PAPER),
    ("attributes", PAPER),
]


def blurred(seed: int = 0) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Features of which a class can be told most of the time."""
    labels = labelled(seed=seed)
    features = [
        torch.nn.functional.one_hot(y, CLASSES) + noise(len(y), seed + i, CLASSES) for i, y in enumerate(labels)
    ]
    return features[0], features[1], labels


def of(name: str, params: dict[str, Any], subject: Known) -> Metric:
    return evaluator(name, **params).run(subject).metrics["class/accuracy"]


@pytest.mark.parametrize(("name", "params"), EXACT)
def test_it_is_the_number_of_the_held_out_images_after_the_others_were_fitted(
    name: str, params: dict[str, Any]
) -> None:
    """As if those had been the test images of these: with what was chosen on them."""
    train, test, labels = blurred()
    subject = Known(train, test, labels)
    metric = of(name, params, subject)
    fit_N, out_N = subject.selection()
    inside = Known(train[fit_N], train[out_N], (labels[0][fit_N], labels[0][out_N]))
    there = {"k": metric.protocol["selected"]["k"]} if name == "knn" else {"select": "test"}
    assert metric.held_out == of(name, {**params, **there}, inside).value
    assert 0.3 < metric.held_out < 0.95

    others = labels[1][torch.randperm(200, generator=torch.Generator().manual_seed(3))]
    elsewhere = of(name, params, Known(train, noise(200, 9, CLASSES), (labels[0], others)))
    assert elsewhere.held_out == metric.held_out
    assert elsewhere.value != metric.value


@pytest.mark.parametrize("name", ["linear_probe", "mlp_probe", "attributes"])
def test_a_converged_probe_has_it_at_the_rate_and_epoch_that_were_chosen(name: str) -> None:
    subject = Known(*blurred())
    metric = of(name, {"steps": 400}, subject)
    assert metric.held_out == pytest.approx(metric.value, abs=0.15)
    shuffled = Known(noise(400, 5), noise(200, 6), labelled())
    by_chance = of(name, {"steps": 400}, shuffled).held_out
    assert by_chance == pytest.approx(1 / CLASSES, abs=0.2)


def test_attributes_have_the_mean_of_their_accuracies() -> None:
    train, test, labels = blurred()
    subject = Known(train, test, labels)
    subject.set_targets(
        **{"class": target(labels, CLASSES, "content"), "other": target(labelled(seed=4), CLASSES, "style")}
    )
    metrics = evaluator("attributes", **PAPER).run(subject).metrics
    content, style = metrics["class/accuracy"].held_out, metrics["other/accuracy"].held_out
    assert content is not None
    assert style is not None
    assert metrics["accuracy"].held_out == pytest.approx((content + style) / 2)
    assert metrics["content_accuracy"].held_out == content
    assert metrics["style_accuracy"].held_out == style
    assert metrics["class/auroc"].held_out is None


@pytest.mark.parametrize(
    ("name", "params"),
    [("knn", {"select": "test"}), ("mlp_probe", {**PAPER, "select": "test"}), ("knn", {"k": 380})],
)
def test_what_was_chosen_on_test_or_has_too_few_images_has_none(name: str, params: dict[str, Any]) -> None:
    assert of(name, params, Known(*blurred())).held_out is None


def test_a_run_records_it(simssl: Callable[..., Any], small: Callable[..., Path]) -> None:
    """Of the style probe, too. Numbers without it have no word of it."""
    evaluators = [{"name": "knn"}, {"name": "style_probe"}, {"name": "reconstruction"}]
    assert simssl("run", small(evaluators=evaluators)).exit_code == 0
    (file,) = Path("runs").rglob("metrics.json")
    entries = json.loads(file.read_text())["metrics"]
    assert entries["knn/class/accuracy"]["held_out"] == pytest.approx(entries["knn/class/accuracy"]["value"], abs=0.15)
    assert "held_out" not in entries["reconstruction/mse"]
    style = {key: entry for key, entry in entries.items() if key.startswith("style_probe/")}
    for entry in style.values():
        assert entry["held_out"] == pytest.approx(entry["value"], abs=0.15)
    mean = style.pop("style_probe/R2")["held_out"]
    assert mean == pytest.approx(sum(entry["held_out"] for entry in style.values()) / len(style))


@pytest.mark.parametrize("k", [1, 20, 200])
def test_the_weighted_vote_is_that_of_a_slow_loop(k: int) -> None:
    """Cosines s, votes exp(s / 0.1), as lightly's benchmarks have it."""
    train, test, labels = blurred()
    lengths = torch.linspace(0.1, 30, 400)[:, None]
    metric = of("knn", {"k": k, "distance": "cosine", "temperature": 0.1}, Known(lengths * train, 5 * test, labels))
    directions_ND = [row / row.square().sum().sqrt() for row in train.double()]
    right = 0
    for query_D, truth in zip(test.double(), labels[1].tolist(), strict=True):
        direction_D = query_D / query_D.square().sum().sqrt()
        scored = [(float(direction_D @ row_D), n) for n, row_D in enumerate(directions_ND)]
        votes = [0.0] * CLASSES
        for cosine, n in sorted(scored, reverse=True)[:k]:
            votes[int(labels[0][n])] += float(torch.tensor(cosine / 0.1, dtype=torch.float64).exp())
        right += votes.index(max(votes)) == truth
    assert metric.value == right / 200


def test_cosines_alone_vote_uniformly_and_small_temperatures_do_not_overflow() -> None:
    train, test, labels = blurred()
    lengths = torch.linspace(0.1, 30, 400)[:, None]
    longer = Known(lengths * train, test, labels)
    unit = Known(torch.nn.functional.normalize(train), torch.nn.functional.normalize(test), labels)
    assert of("knn", {"distance": "cosine"}, longer).value == of("knn", {}, unit).value
    cold = {"k": 50, "distance": "cosine", "temperature": 1e-4}
    assert of("knn", cold, longer).value == of("knn", {"k": 1, "distance": "cosine"}, longer).value


def test_the_protocol_says_how_neighbours_vote_and_the_default_is_as_it_was() -> None:
    subject = Known(*blurred())
    weighted = evaluator("knn", k=200, distance="cosine", temperature=0.1)
    assert weighted.run(subject).protocol["vote"] == "cosine s, weights exp(s / 0.1)"
    default = evaluator("knn")
    assert default.run(subject).protocol["vote"] == "Euclidean, uniform, ties to the nearest"
    assert default.params.model_dump().keys() == {"targets", "k", "layer", "select"}
    with pytest.raises(ValueError, match="'temperature' weighs votes by cosines, so it needs 'distance: cosine'"):
        evaluator("knn", temperature=0.1)

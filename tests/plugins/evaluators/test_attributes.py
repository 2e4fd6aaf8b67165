"""`attributes` and `linear_probe` against scikit-learn, and on targets whose classes are uneven, missing or absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from subjects import CLASSES, Known, Labels, evaluator, labelled, noise, oracle, target
from torch import Tensor

from simssl.api import Metric
from simssl.blocks.probes.class_probes import ProbedTarget, train_probes

FAST = {"lr": 3e-2, "epochs": 30}
SCORES = ("accuracy", "balanced_accuracy", "auroc")


def uneven(n: int, seed: int, share: float = 0.1) -> Tensor:
    """Of two classes; the second is rare."""
    return (torch.rand(n, generator=torch.Generator().manual_seed(seed)) < share).long()


def measure(subject: Known, **params: object) -> dict[str, Metric]:
    return dict(evaluator("attributes", **FAST, **params).run(subject).metrics)


def content_and_style(represent: Callable[[Tensor, Tensor], Tensor]) -> Known:
    """A subject with a content target of four classes, and a rare style."""
    content, style = labelled(600, 400), (uneven(600, 1), uneven(400, 2))
    subject = Known(represent(content[0], style[0]), represent(content[1], style[1]), content)
    subject.set_targets(digit=target(content, CLASSES, "content"), slant=target(style, 2, "style"))
    return subject


def both(content: Tensor, style: Tensor) -> Tensor:
    one_hot = torch.nn.functional.one_hot(content, CLASSES)
    return torch.cat([one_hot, style[:, None]], 1).repeat(1, 3) + 0.01 * noise(len(style), 3, 15)


@pytest.mark.parametrize("layers", ["linear", "mlp"])
def test_an_oracle_has_the_best_of_all_scores(layers: str) -> None:
    metrics = measure(content_and_style(both), probe=layers)
    groups = ("", "content_", "style_")
    names = [f"{group}{score}" for group in groups for score in SCORES]
    names += [f"{name}/{score}" for name in ("digit", "slant") for score in SCORES]
    assert set(metrics) == set(names)
    assert all(metric.value == pytest.approx(1) for metric in metrics.values())
    assert {metrics[f"digit/{s}"].protocol["role"] for s in SCORES} == {"content"}
    assert {metrics[f"slant/{s}"].protocol["role"] for s in SCORES} == {"style"}


def test_what_is_blind_to_a_rare_style_has_no_more_than_chance() -> None:
    """Accuracy looks good, since nine of ten images have the same style; balanced accuracy and AUROC do not."""
    metrics = measure(content_and_style(lambda content, _: both(content, torch.zeros_like(content))))
    assert metrics["digit/balanced_accuracy"].value == pytest.approx(1)
    assert metrics["slant/accuracy"].value > 0.88
    assert metrics["slant/balanced_accuracy"].value == pytest.approx(0.5, abs=0.03)
    assert metrics["slant/auroc"].value == pytest.approx(0.5, abs=0.12)
    assert metrics["content_accuracy"].value > metrics["accuracy"].value > metrics["style_accuracy"].value


def test_noise_falls_to_chance() -> None:
    metrics = measure(Known(noise(600, 1), noise(400, 2), labelled(600, 400)))
    assert metrics["class/balanced_accuracy"].value == pytest.approx(1 / CLASSES, abs=0.06)
    assert metrics["class/auroc"].value == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("classes", [2, CLASSES])
def test_auroc_ranks_logits_of_any_size(classes: int) -> None:
    """Probabilities of large logits are 0 and 1, and would be ties."""
    from simssl.plugin.registry import Registry

    scores = Registry(builtins_only=True).load("evaluator", "attributes")
    module = __import__(scores.__module__, fromlist=["_scores"])
    labels_N = labelled(400, 300, classes=classes)[1]
    logits_NC = noise(300, 3, classes) + 0.8 * torch.nn.functional.one_hot(labels_N, classes)
    small, large = (module._scores(ProbedTarget("t", 1, scale * logits_NC, labels_N)) for scale in (1.0, 1e4))
    assert 0.55 < small["auroc"] < 0.95
    if classes == 2:
        assert large["auroc"] == pytest.approx(small["auroc"])
        assert large["auroc"] == roc_auc_score(labels_N, (logits_NC[:, 1] - logits_NC[:, 0]).double())
    else:
        margins = [
            logits_NC[:, c] - logits_NC[:, [o for o in range(classes) if o != c]].amax(1) for c in range(classes)
        ]
        expected = np.mean([roc_auc_score(labels_N == c, margins[c]) for c in range(classes)])
        assert large["auroc"] == pytest.approx(expected, abs=1e-4)


def test_permuted_labels_fall_to_chance() -> None:
    good = oracle(labelled(600, 400))
    metrics = measure(Known(good.features("train"), good.features("test"), labelled(600, 400, seed=9)))
    assert metrics["class/balanced_accuracy"].value == pytest.approx(1 / CLASSES, abs=0.06)
    assert metrics["class/auroc"].value == pytest.approx(0.5, abs=0.06)


def test_means_are_over_targets_of_their_role() -> None:
    labels = {f"t{i}": labelled(300, 200, seed=i, classes=2) for i in range(4)}
    roles = {"t0": "content", "t1": "style", "t2": "style", "t3": None}
    subject = Known(noise(300, 1), noise(200, 2), labels["t0"])
    subject.set_targets(**{name: target(both, 2, roles[name]) for name, both in labels.items()})  # type: ignore[arg-type]
    metrics = measure(subject)
    for role, names in {None: list(labels), "content": ["t0"], "style": ["t1", "t2"]}.items():
        for score in SCORES:
            mean = metrics[f"{role}_{score}" if role else score]
            assert mean.value == pytest.approx(np.mean([metrics[f"{name}/{score}"].value for name in names]))
            assert mean.protocol["mean over"] == names
            assert mean.protocol.get("role") == role
    of_one_role = measure(subject, targets=("t1", "t2", "t3"))
    assert {name for name in of_one_role if "/" not in name} == set(SCORES)


def probed(subject: Known, layers: str) -> list[ProbedTarget]:
    """The same probes, of which the evaluator gives no logits."""
    params = evaluator("attributes", **FAST, probe=layers).params
    return train_probes(subject, params, hidden=int(layers == "mlp"))


@pytest.mark.parametrize("layers", ["linear", "mlp"])
def test_scores_are_scikit_learns_on_the_same_logits(layers: str) -> None:
    blurred = lambda content, style: both(content, style) + 0.6 * noise(len(content), 4, 15)
    metrics = measure(content_and_style(blurred), probe=layers)
    for one in probed(content_and_style(blurred), layers):
        p_NC, labels_N = one.logits_NC.double().softmax(1).numpy(), one.labels_N.numpy()
        scores = p_NC[:, 1] if p_NC.shape[1] == 2 else p_NC
        expected = {
            "accuracy": (p_NC.argmax(1) == labels_N).mean(),
            "balanced_accuracy": balanced_accuracy_score(labels_N, p_NC.argmax(1)),
            "auroc": roc_auc_score(labels_N, scores, multi_class="ovr"),
        }
        for score, value in expected.items():
            assert 0.5 < value < 1, "nothing is compared at an end of the scale"
            assert metrics[f"{one.target}/{score}"].value == pytest.approx(value, abs=1e-6)


def test_its_accuracy_is_the_probes_own() -> None:
    for layers, name in (("linear", "linear_probe"), ("mlp", "mlp_probe")):
        subject = lambda: content_and_style(lambda content, style: both(content, style) + noise(len(content), 4, 15))
        own = evaluator(name, **FAST).run(subject()).metrics
        metrics = measure(subject(), probe=layers)
        for key in ("digit/accuracy", "slant/accuracy"):
            assert metrics[key].value == own[key].value
            assert metrics[key].protocol["selected"] == own[key].protocol["selected"]


def three_classes(absent: tuple[int, ...]) -> Known:
    """Of which some do not occur in test."""
    labels = labelled(400, 300, classes=3)
    kept = ~torch.isin(labels[1], torch.tensor(absent))
    labels = (labels[0], labels[1][kept])
    features = [torch.nn.functional.one_hot(y, 3) + 0.6 * noise(len(y), 3, 3) for y in labels]
    subject = Known(features[0], features[1], labels)
    subject.set_targets(other=target((labels[0] % 2, labels[1] % 2), 2), three=target(labels, 3))
    return subject


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_a_class_that_is_absent_from_test_does_not_count() -> None:
    metrics = measure(three_classes(absent=(2,)), probe="linear")
    one = next(one for one in probed(three_classes(absent=(2,)), "linear") if one.target == "three")
    labels_N, p_NC = one.labels_N.numpy(), one.logits_NC.double().softmax(1).numpy()
    assert (p_NC.argmax(1) == 2).any(), "the class is predicted all the same"
    expected = balanced_accuracy_score(labels_N, p_NC.argmax(1))
    assert metrics["three/balanced_accuracy"].value == pytest.approx(expected)
    aurocs = [roc_auc_score(labels_N == c, p_NC[:, c]) for c in (0, 1)]
    assert metrics["three/auroc"].value == pytest.approx(np.mean(aurocs))
    assert metrics["three/auroc"].protocol["absent from test"] == ["2"]


def test_a_single_class_in_test_has_no_auroc() -> None:
    metrics = measure(three_classes(absent=(0, 2)), probe="linear")
    assert "three/auroc" not in metrics
    assert "other/auroc" not in metrics
    assert "auroc" not in metrics
    assert metrics["three/accuracy"].value == metrics["three/balanced_accuracy"].value, "the recall of the only class"
    mixed = three_classes(absent=(0, 2))
    alternating = tuple(torch.arange(len(mixed.features(split))) % 2 for split in ("train", "test"))
    mixed.set_targets(
        three=(mixed.data.train.targets["three"], mixed.data.test.targets["three"]), two=target(alternating, 2)
    )  # type: ignore[union-attr, arg-type]
    metrics = measure(mixed)
    assert metrics["auroc"].value == metrics["two/auroc"].value
    assert metrics["auroc"].protocol["mean over"] == ["two"]
    assert metrics["accuracy"].protocol["mean over"] == ["three", "two"]


def test_unlabelled_images_do_not_count() -> None:
    """Half of the images have no label, and features that would mislead."""
    labels = labelled(600, 400)
    good = oracle(labels)
    for split, values in zip(("train", "test"), labels, strict=True):
        good.features(split)[::2] = good.features(split)[::2].roll(1, dims=0)
        values[::2] = -1
    metrics = measure(Known(good.features("train"), good.features("test"), labels))
    assert all(metric.value == pytest.approx(1) for metric in metrics.values())


@pytest.mark.parametrize("name", ["attributes", "mlp_probe", "linear_probe", "gmm"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_target_without_any_label_is_refused_before_training(name: str, split: str) -> None:
    labels = labelled()
    labels[("train", "test").index(split)].fill_(-1)
    subject = Known(noise(400, 1), noise(200, 2), labels)
    with pytest.raises(ValueError, match=f"no image of the {split}.* split has a label of 'class'; name other targets"):
        evaluator(name).check(subject.data)


def test_a_table_shows_its_means_alone(simssl: Callable[..., Any], small: Callable[..., Path]) -> None:
    result = simssl("run", small(evaluators=[{"name": "attributes", "epochs": 2}]))
    assert result.exit_code == 0, result.stderr
    assert "/balanced_accuracy" in result.stdout
    assert "/class" not in result.stdout
    csv = simssl("report", "runs", "--format", "csv").stdout
    assert "attributes/class/auroc" in csv


# --- linear_probe ----------------------------------------------------------------------------------------


def blobs(spread: float) -> tuple[Tensor, Tensor, Labels]:
    """Four classes about corners of a square."""
    labels = labelled(2000, 2000)
    corners = torch.tensor([[0.0, 0, 1, 1], [0, 1, 0, 1]]).T
    features = [corners[y] + spread * noise(len(y), seed, 2) for seed, y in enumerate(labels, 1)]
    return features[0], features[1], labels


@pytest.mark.parametrize(("spread", "tolerance"), [(0.05, 0.0), (0.5, 0.01)])
def test_linear_probe_is_about_scikit_learns(spread: float, tolerance: float) -> None:
    """Adam at a constant rate ends near the optimum, not at it: 1 % of 2,000 images, and none where they are apart."""
    train, test, labels = blobs(spread)
    reference = (
        LogisticRegression(C=np.inf).fit(train.numpy(), labels[0].numpy()).score(test.numpy(), labels[1].numpy())
    )
    metric = evaluator("linear_probe", lr=0.1, epochs=40).run(Known(train, test, labels)).metrics["class/accuracy"]
    assert metric.value == pytest.approx(reference, abs=tolerance)
    assert (metric.value == 1) == (spread == 0.05)


def few_and_small() -> Known:
    """Three hundred images of four classes that overlap, whose features are a hundredth of what others have."""
    labels = labelled(300, 1000)
    corners = torch.tensor([[0.0, 0, 1, 1], [0, 1, 0, 1]]).T
    features = [0.01 * (5 + corners[y] + 0.35 * noise(len(y), seed, 2)) for seed, y in enumerate(labels, 1)]
    return Known(features[0].repeat(1, 4), features[1].repeat(1, 4), labels)


@pytest.mark.parametrize("name", ["linear_probe", "mlp_probe", "attributes"])
def test_a_probe_of_few_images_is_trained_until_it_has_converged(name: str) -> None:
    """As scikit-learn's regression is; at the paper's rate and number of epochs it is far from it, and says so."""
    subject = few_and_small()
    train, test = (subject.features(split).numpy() for split in ("train", "test"))
    labels = [subject.data.train.targets["class"].values, subject.data.test.targets["class"].values]  # type: ignore[union-attr]
    scale = train.std(0)
    reference = LogisticRegression(C=np.inf, max_iter=1000).fit(train / scale, labels[0]).score(test / scale, labels[1])
    result = evaluator(name).run(few_and_small())
    metric = result.metrics["class/accuracy"]
    assert metric.value == pytest.approx(reference, abs=0.015)
    assert set(metric.protocol["selected"]) == {"epochs", "lr"}
    assert "found" not in metric.protocol
    assert "Adam at one of 0.0003, 0.001, 0.003, 0.01, 0.03" in str(result.protocol["training"])
    assert result.protocol["features"] == "representation, standardised"
    paper = evaluator(name, protocol="paper").run(few_and_small())
    assert paper.metrics["class/accuracy"].value < reference - 0.1
    assert "training" not in paper.protocol
    assert paper.protocol["features"] == "representation, as it is"


def test_a_probe_that_has_not_converged_says_so_in_log_record_and_table(
    simssl: Callable[..., Any], small: Callable[..., Path]
) -> None:
    paper = {"name": "mlp_probe", "protocol": "paper", "epochs": 4, "lr": 1e-2}
    few = [{"name": "linear_probe", "steps": 40}, paper]
    file = small(evaluators=[*few, {"name": "attributes", "steps": 40}, {"name": "knn"}])
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    assert "the probe of class has not converged in 40 steps: raise 'steps'" in result.stderr
    assert "the probe of class was best at its last epoch, 4: raise 'epochs'" in result.stderr
    (path,) = Path("runs").rglob("metrics.json")
    metrics = json.loads(path.read_text())["metrics"]
    for key in ("linear_probe/class/accuracy", "mlp_probe/class/accuracy", "attributes/accuracy"):
        assert metrics[key]["protocol"]["found"] == {"undertrained": True}
    csv = simssl("report", "runs", "--format", "md").stdout
    (row,) = [line for line in csv.splitlines() if line.startswith("| simvae")]
    marked = [entry.endswith("†") for entry in row.strip("| ").split(" | ")[1:]]
    assert marked == [True, True, True, True, True, False], row
    assert "†: measured by what had not converged, and would do better if trained for longer" in csv
    assert r"$\dagger$" in simssl("report", "runs", "--format", "latex").stdout
    records = json.loads(simssl("report", "runs", "--format", "json").stdout)["metrics"]
    assert {record["key"] for record in records if not record["undertrained"]} == {"knn/class/accuracy"}


def test_the_two_protocols_are_two_columns_and_older_numbers_stay_the_papers(
    simssl: Callable[..., Any], small: Callable[..., Path]
) -> None:
    """An older run names no protocol. What it has is not measured again, and stands beside what the paper's gives."""
    file = small(evaluators=[{"name": "linear_probe", "epochs": 2}])
    simssl("run", file)
    (run,) = Path("runs/small").iterdir()
    before = json.loads((run / "metrics.json").read_text())["metrics"]["linear_probe/class/accuracy"]
    assert "protocol" not in before["protocol"]["evaluator"]
    assert "is done already" in simssl("run", file).stderr
    simssl("evaluate", run)
    named = [{"name": "linear_probe", "protocol": "paper", "epochs": 2}]
    assert "is done already" in simssl("run", small(evaluators=named)).stderr
    simssl("evaluate", run, "-e", "{name: linear_probe, as: anew, steps: 100}")
    metrics = json.loads((run / "metrics.json").read_text())["metrics"]
    assert metrics["linear_probe/class/accuracy"] == before
    anew = metrics["anew/class/accuracy"]["protocol"]
    assert anew["evaluator"]["protocol"] == "converged"
    assert anew["training"] != before["protocol"].get("training")


def test_the_mlp_probe_reads_what_the_linear_one_cannot() -> None:
    """Exclusive or: the diagonal corners are one class."""
    train, test, labels = blobs(0.1)
    diagonal = tuple(torch.tensor([0, 1, 1, 0])[y] for y in labels)
    wide = [torch.cat([x, x], 1).repeat(1, 3) for x in (train, test)]
    linear, mlp = (
        evaluator(name, **FAST).run(Known(wide[0], wide[1], diagonal)).metrics["class/accuracy"].value  # type: ignore[arg-type]
        for name in ("linear_probe", "mlp_probe")
    )
    assert linear < 0.8
    assert mlp > 0.98


@pytest.mark.parametrize("name", ["linear_probe", "mlp_probe"])
def test_test_labels_choose_nothing_unless_they_are_asked_to(name: str) -> None:
    labels = (uneven(300, 1, 0.5), uneven(300, 2, 0.5))
    features = [noise(300, seed, 12) + y[:, None] * 0.4 for seed, y in enumerate(labels)]

    def chosen(test_N: Tensor, select: str) -> int:
        subject = Known(features[0], features[1], (labels[0], test_N))
        result = evaluator(name, **FAST, select=select).run(subject)
        assert ("TEST" in str(result.protocol["selection"])) == (select == "test")
        return int(result.metrics["class/accuracy"].protocol["selected"]["epochs"])

    others = [labels[1], 1 - labels[1], labels[1].roll(1)]
    assert len({chosen(test_N, "held_out") for test_N in others}) == 1
    assert len({chosen(test_N, "test") for test_N in others}) > 1

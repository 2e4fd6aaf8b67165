"""An evaluator's `dataset:`: the frozen encoder is measured on another data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import Result

from simssl.evaluation.features import features_wanted
from simssl.experiment.sections import choice
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.store.metrics import measured_on
from simssl.testing.fixtures import tiny_run

Command = Callable[..., Result]
Write = Callable[..., Path]

COLOURED = """
    from dataclasses import replace

    import simssl
    import torch
    from simssl.api import Data, Dataset, Split, Target
    from simssl_plugins.datasets.digits import Digits

    class Coloured(Dataset):
        class Params(simssl.Params):
            enlarge: int = 1
            "Pixels for each of digits'."
            channels: int = 3
            "Channels, all alike."
            labels: bool = True
            "Whether the classes are known."
            tested: bool = True
            "Whether there is a test split."

        def load(self, root, progress):
            digits = Digits(Digits.Params()).load(root, progress)
            test = self._split(digits.test) if self.params.tested else None
            return Data.of(self._split(digits.train), test)

        def _split(self, split):
            n = self.params.enlarge
            images = split.images.repeat(1, self.params.channels, 1, 1)
            images = images.repeat_interleave(n, 2).repeat_interleave(n, 3)
            targets = {"class": replace(split.targets["class"], role="style")} if self.params.labels else {}
            return Split(images, targets)

    @simssl.hookimpl
    def simssl_dataset():
        return Coloured
"""

NEEDS_VARIANCE = """
    import simssl
    from simssl.api import Evaluator, Metric, Result

    class NeedsVariance(Evaluator):
        Params = simssl.Params
        needs = frozenset({"test", "variance"})

        def run(self, subject):
            posterior = subject.posterior(subject.images("test", slice(8)))
            return Result({"variance": Metric(posterior.variance.mean().item(), "squared units")})

    @simssl.hookimpl
    def simssl_evaluator():
        return NeedsVariance
"""


@pytest.fixture
def coloured(package: Callable[..., Path]) -> None:
    """Digits whose three channels are all as the grey one is: brought to a run's on digits, they are digits again."""
    package("coloured-dist", "coloured_dataset", COLOURED, dataset="coloured")


def on(evaluator: str, /, alias: str = "", **dataset: Any) -> dict[str, Any]:
    named = {"as": alias} if alias else {}
    return {"name": evaluator, **named, "dataset": {"name": "coloured", **dataset}}


def the_run() -> Path:
    (run,) = Path("runs/small").iterdir()
    return run


def metrics() -> dict[str, Any]:
    entries: dict[str, Any] = json.loads((the_run() / "metrics.json").read_text())["metrics"]
    return entries


@pytest.mark.usefixtures("coloured")
def test_numbers_of_another_data_set_stand_beside_those_of_the_runs(simssl: Command, small: Write) -> None:
    """They are told apart by their keys, and say what they are of. Several sets and several views of one stand."""
    evaluators = [
        {"name": "knn"},
        on("knn"),
        on("knn", "twice_as_large", enlarge=2),
        on("style_probe"),
        on("reconstruction"),
        {"name": "knn", "dataset": {"name": "digits"}},
        on("collapse", labels=False),
    ]
    result = simssl("run", small(evaluators=evaluators, trackers=[{"name": "tensorboard"}]))
    assert result.exit_code == 0, result.stderr
    entries = metrics()
    own = entries["knn/class/accuracy"]
    there = entries["knn:coloured/class/accuracy"]
    assert there["value"] == own["value"]
    assert there["protocol"]["measured_on"] == "coloured"
    assert there["protocol"]["images brought over"] == "from 3 x 8 x 8 to 1 x 8 x 8, in grey"
    assert there["protocol"]["data"] != own["protocol"]["data"]
    assert "measured_on" not in own["protocol"]
    assert measured_on(RunFolder(the_run())) == {own["protocol"]["data"]}

    larger = entries["twice_as_large/class/accuracy"]["protocol"]
    resized = "the largest centred box, resized bilinearly, in grey"
    assert larger["images brought over"] == f"from 3 x 16 x 16 to 1 x 8 x 8, {resized}"
    same = entries["knn:digits/class/accuracy"]
    assert same["value"] == own["value"]
    assert "images brought over" not in same["protocol"]
    assert "style_probe:coloured/crop_height/R2" in entries
    assert (the_run() / "images" / "reconstruction+coloured" / "test.png").is_file()

    train = the_run() / "features" / there["protocol"]["data"] / "representation-train.npy"
    assert np.array_equal(np.load(train), np.load(the_run() / "features" / "representation-train.npy"))
    head, *_ = (the_run() / "projector" / "labels.tsv").read_text().splitlines()
    assert head == "class\tindex"  # of the run's own test images, whatever was measured last

    report = simssl("report", "runs", "--format", "json", "--html", "page.html")
    roles = {number["key"]: number["role"] for number in json.loads(report.stdout)["metrics"]}
    assert roles["knn/class/accuracy"] == "content"
    assert roles["knn:coloured/class/accuracy"] == "style"
    assert roles["style_probe:coloured/R2"] == "style"
    assert "twice_as_large/class/accuracy (on coloured)" in simssl("report", "runs", "--format", "md").stdout
    page = Path("page.html").read_text()
    assert "reconstruction:coloured" in page
    assert simssl("report", "runs", "-e", "knn:coloured").exit_code == 0


@pytest.mark.usefixtures("coloured")
def test_a_trained_run_is_measured_on_another_data_set(simssl: Command, small: Write) -> None:
    file = small(evaluators=[{"name": "knn"}, on("knn")])
    simssl("run", file)
    before = metrics()
    features = the_run() / "features"
    features.rename("features")
    assert simssl("run", file).exit_code == 0
    assert simssl("evaluate", the_run()).exit_code == 0  # from the file that the run keeps
    assert not features.exists()  # since nothing is missing

    asked = "{name: linear_probe, steps: 200, dataset: {name: coloured}}"
    assert simssl("evaluate", the_run(), "-e", asked).exit_code == 0
    added = metrics()
    assert added.keys() - before.keys() == {"linear_probe:coloured/class/accuracy"}
    again = simssl("evaluate", the_run(), "-e", "{name: knn, dataset: {name: coloured}}")
    assert "knn:coloured is measured again" in again.stderr + again.stdout
    assert metrics() == added
    written = yaml.safe_load((the_run() / "experiment.yaml").read_text())
    assert [evaluator.get("as") for evaluator in written["evaluators"]] == [None, "knn:coloured"]


def test_several_processes_encode_the_runs_own_images_alone(tmp_path: Path) -> None:
    """Those of another data set are encoded by the process that measures."""
    registry = Registry(builtins_only=True)
    own, elsewhere = (choice(text, "evaluator", registry) for text in ("knn", "{name: knn, dataset: {name: digits}}"))
    run = tiny_run()
    assert features_wanted(run, RunFolder(tmp_path), [elsewhere]) == []
    assert features_wanted(run, RunFolder(tmp_path), [elsewhere, own]) == ["train", "test"]


@pytest.mark.usefixtures("coloured")
def test_what_does_not_apply_to_the_other_data_set_is_skipped_for_it_alone(simssl: Command, small: Write) -> None:
    evaluators = [{"name": "knn"}, on("knn", labels=False), on("knn", "untested", tested=False), on("collapse")]
    result = simssl("run", small(evaluators=evaluators, positives={"share": ["class"]}))
    assert result.exit_code == 0, result.stderr
    entries = metrics()
    assert entries["knn:coloured"]["skipped"] == "the data set has no labels"
    assert entries["untested"]["skipped"] == "the data set has no test split"
    assert "value" in entries["knn/class/accuracy"]
    assert "collapse:coloured/group_within" in entries  # whose groups are those of the run's positives


@pytest.mark.usefixtures("coloured")
def test_whether_there_is_a_variance_is_asked_at_the_size_of_the_runs_images(
    simssl: Command, small: Write, package: Callable[..., Path]
) -> None:
    package("needs-variance-dist", "needs_variance", NEEDS_VARIANCE, evaluator="needs_variance")
    file = small(objective={"name": "simvae"}, evaluators=[on("needs_variance", enlarge=2)])
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    entry = metrics()["needs_variance:coloured/variance"]
    assert entry["protocol"]["images brought over"].startswith("from 3 x 16 x 16 to 1 x 8 x 8")


@pytest.mark.usefixtures("coloured")
def test_captions_that_the_method_has_not_learned_from_are_none(simssl: Command, small: Write) -> None:
    """Those of other words are not: of a data set without captions, or with a vocabulary of its own."""
    named = {"name": "retrieval", "as": "same", "dataset": {"name": "digits", "captions": True}}
    evaluators = [{"name": "retrieval"}, on("retrieval"), named]
    file = small(
        dataset={"name": "digits", "captions": True},
        modalities={"caption": {"backbone": {"name": "text_transformer", "width": 8, "layers": 1}}},
        objective={"name": "clip"},
        training={"views": 600, "batch_views": 60},
        evaluators=evaluators,
    )
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    entries = metrics()
    assert entries["retrieval:coloured"]["skipped"] == "the data set has none of the modalities that clip learned from"
    assert entries["same/recall_1"]["value"] == entries["retrieval/recall_1"]["value"]


@pytest.mark.usefixtures("coloured")
@pytest.mark.parametrize(
    ("evaluators", "sentence"),
    [
        ([on("knn"), on("knn", enlarge=2)], "'knn:coloured' stands in 'evaluators' twice"),
        ([on("knn", channels=2)], "of other channels"),
        ([{**on("knn"), "targets": ["digit"]}], "the data set has no target 'digit'"),
        ([{**on("knn"), "as": "knn:mnist"}], "'as' gives an evaluator another name"),
        ([{"name": "knn", "dataset": {"name": "digit"}}], "did you mean 'digits'?"),
    ],
)
def test_mistakes_are_told_before_training(
    simssl: Command, small: Write, evaluators: list[dict[str, Any]], sentence: str
) -> None:
    result = simssl("run", small(evaluators=evaluators))
    assert result.exit_code != 0
    assert sentence in result.stderr
    assert not list(Path("runs").rglob("checkpoint.pt"))

"""The sections `measure` and `selection`: checked with their positions; the first is outside the hash."""

from __future__ import annotations

from pathlib import Path

import pytest

from simssl.experiment.config import load_experiments, restored
from simssl.experiment.document import ExperimentError
from simssl.experiment.model import Experiment
from simssl.experiment.outline import outlines
from simssl.experiment.schema import schema
from simssl.experiment.settings import Moments
from simssl.experiment.yaml12 import dump
from simssl.plugin.registry import Registry

REGISTRY = Registry(builtins_only=True)
EXPERIMENT = """\
name: x
dataset: {name: digits}
backbone: {name: mlp}
latent_dim: 4
objective: {name: simclr}
training: {views: 1000}
"""
MEASURE = "measure: {every: 1_000, evaluators: [{name: knn}, {name: knn, as: five, k: 5}]}\n"
SELECTION = "selection: {every_steps: 2, evaluator: {name: knn}, metric: class/accuracy, patience: 3, keep: best}\n"


def one(path: Path, text: str) -> Experiment:
    path.write_text(EXPERIMENT + text)
    (experiment,) = load_experiments(path, REGISTRY)
    return experiment


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("measure: 3", "7:10", "'measure' is a mapping such as {every: 10_000, evaluators: [{name: ...}]}, not 3"),
        ("measure: {every: 5}", "7:10", "the key 'measure.evaluators' is missing, such as measure: {every: 10_000,"),
        ("measure: {every: 5, evaluators: []}", "7:33", "'measure.evaluators' names no evaluator"),
        ("measure: {every: 5, evaluators: knn}", "7:33", "'measure.evaluators' is a list, such as [{name: ...}]"),
        ("measure: {every: 5, evaluator: []}", "7:21", "unknown key 'evaluator'; did you mean 'evaluators'?"),
        ("measure: {every: 5, evaluators: [{name: kn}]}", "7:41", "did you mean 'knn'?"),
        ("measure: {every: 5, evaluators: [{name: knn}, {name: knn}]}", "7:47", "'knn' stands in 'measure.evaluators'"),
        ("measure: {every: 0, evaluators: [{name: knn}]}", "7:18", "'every' must be at least 1, not 0"),
        ("measure: {points: 1e6, evaluators: [{name: knn}]}", "7:19", "'points' must be at most 10000, not 1000000"),
        ("measure: {evaluators: [{name: knn}]}", "7:10", "one of 'every' (views), 'every_steps' and 'points'"),
        ("measure: {every: 5, points: 2, evaluators: [{name: knn}]}", "7:10", "'points', not every and points"),
        ("selection: knn", "7:12", "'selection' is a mapping such as {every: 10_000, evaluator: {name: ...}, metric"),
        ("selection: {every: 5, evaluator: {name: knn}, keep: best}", "7:12", "the key 'metric' is missing"),
        ("selection: {every: 5, evaluator: {name: knn}, metric: a}", "7:12", "'patience', or 'keep: best'"),
        ("selection: {every: 5, evaluator: {name: knn}, metric: a, keep: bst}", "7:64", "'best' or 'last'"),
        ("selection: {every: 5, evaluator: knn, metric: a, keep: best}", "7:34", "such as {name: knn}"),
        (
            f"{MEASURE}selection: {{every: 5, evaluator: {{name: knn, k: 3}}, metric: a, keep: best}}",
            "8:34",
            "'knn' stands in 'measure' with other parameters; tell them apart with 'as: another-name'",
        ),
    ],
)
def test_each_mistake_is_one_sentence_at_its_position(text: str, at: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    with pytest.raises(ExperimentError) as error:
        one(file, text)
    (problem,) = error.value.problems
    assert str(problem.position) == f"{file}:{at}"
    assert message in problem.message


def test_what_is_measured_on_the_way_is_outside_the_hash_and_what_it_decides_is_in_it(tmp_path: Path) -> None:
    """The hash without them is the one that runs before these sections have."""
    file = tmp_path / "x.yaml"
    without = one(file, "")
    assert one(file, MEASURE).digest == without.digest
    assert one(file, SELECTION).digest != without.digest
    assert not {"measure", "selection"} & set(without.resolved)
    assert one(file, "measure:\nselection:\n").digest == without.digest
    assert outlines(file, REGISTRY)[0].folder == without.folder


def test_they_are_recorded_with_every_default_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    both = one(file, MEASURE + SELECTION)
    assert both.measure is not None
    assert [choice.label for choice in both.measure.evaluators] == ["knn", "five"]
    assert [choice.label for choice in both.while_training] == ["knn", "five"]
    assert {choice.name for choice in both.choices} >= {"knn"}
    assert restored(both.resolved, both.written, REGISTRY) == both
    file.write_text(dump(both.resolved))
    (again,) = load_experiments(file, REGISTRY)
    assert again.resolved == both.resolved


def test_a_grid_over_a_selection_makes_several_runs_and_one_over_what_is_measured_none(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"{EXPERIMENT}{SELECTION}grid: {{selection.patience: [1, 2]}}\n")
    assert len({experiment.digest for experiment in load_experiments(file, REGISTRY)}) == 2
    file.write_text(f"{EXPERIMENT}{MEASURE}grid: {{measure.every: [100, 200]}}\n")
    with pytest.raises(ExperimentError, match="cells 1 and 2 of the grid are the same run"):
        load_experiments(file, REGISTRY)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        (Moments(every_steps=4), [0, 4, 8, 10]),
        (Moments(every=30), [0, 3, 6, 9, 10]),
        (Moments(every=25), [0, 3, 5, 8, 10]),
        (Moments(every=1), list(range(11))),
        (Moments(every=1000), [0, 10]),
        (Moments(points=1), [0, 1, 10]),
        (Moments(points=4), [0, 1, 2, 5, 10]),
    ],
)
def test_when_it_is_measured(moments: Moments, expected: list[int]) -> None:
    """Of ten steps of ten views: the first step after which so many views are shown, the last, and before the first."""
    assert moments.steps(10, 10) == expected
    assert moments.steps(0, 0) == []


def test_fewer_views_than_a_step_has_are_every_step_and_cost_no_more() -> None:
    """10^12 views, one by one, would take hours."""
    assert Moments(every=1).steps(10, 10**11) == Moments(every_steps=1).steps(10, 10**11)


def test_points_are_spaced_evenly_on_a_logarithmic_scale() -> None:
    assert Moments(points=7).steps(10**6, 1)[1:] == [10**i for i in range(7)]


def test_editors_know_the_sections() -> None:
    document, _ = schema(REGISTRY)
    measure, selection = (document["properties"][key] for key in ("measure", "selection"))
    assert measure["required"] == ["evaluators"]
    assert set(selection["required"]) == {"metric", "evaluator"}
    assert selection["properties"]["evaluator"] == {"$ref": "#/$defs/evaluator"}

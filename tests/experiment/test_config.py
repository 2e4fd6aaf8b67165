"""Experiment files are checked whole: every error at once, each with file, line and column."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simssl.experiment.config import load_experiments
from simssl.experiment.document import ExperimentError
from simssl.experiment.model import Experiment
from simssl.plugin.registry import Registry

REGISTRY = Registry(builtins_only=True)


def experiments(path: Path, *overrides: str, seed: int | None = None) -> list[Experiment]:
    return load_experiments(path, REGISTRY, overrides, seed)


def problems(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(ExperimentError) as error:
        experiments(path, *overrides)
    return [str(problem).removeprefix(f"{path}:") for problem in error.value.problems]


def test_four_errors_at_once(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "name: wrong\n"
        "dataset: {name: digits}\n"
        "views: {crop: {scal: [0.4, 1.0]}}\n"
        "backbone: {name: mlp, hidden: [16]}\n"
        "latent_dim: 4\n"
        "objective: {name: simva}\n"
        "training:\n"
        "  views: 1000\n"
        "  optimizer: {lr: -1}\n"
        "  batch_views: many\n"
    )
    assert problems(file) == [
        "3:16: unknown key 'scal'; did you mean 'scale'?",
        "6:19: no objective is called 'simva'; did you mean 'simvae'?",
        "9:19: 'training.optimizer.lr' must be greater than 0, not -1",
        "10:16: 'training.batch_views' must be a whole number, not 'many'",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("latent_dim: 0", "'latent_dim' must be at least 1, not 0"),
        ("latent_dim: true", "'latent_dim' must be a whole number, not true"),
        ("latent_dim: '4'", "'latent_dim' must be a whole number, not '4'"),
        ("latent_dim: 4.5", "'latent_dim' must be a whole number, not 4.5"),
        ("latent_dim:", "'latent_dim' must be a whole number, not empty"),
        ("seed: -1", "'seed' must be at least 0, not -1"),
        ("name: a/b", "'name' must be letters"),
        ("dataset: digits", "the dataset is a mapping such as {name: digits}, not 'digits'"),
        ("objective: {J: 2}", "the objective needs a 'name': "),
        ("objective: {name: simvae, sigma2: .inf}", "'sigma2' must be a finite number, not inf"),
        ("objective: {name: simvae, sigma2: .nan}", "'sigma2' must be a finite number, not nan"),
        ("objective: {name: simvae, as: x}", "'as' gives an evaluator another name"),
        ("objective: {name: simvae, psi: uniform, gamma2: 1}", "a uniform psi has no variance"),
        ("training: {views: 1000, batch_views: 5}", "'batch_views' is 5, less than the 10 views of one image"),
        ("training: {batch_views: 60}", "give the budget as 'epochs' or as 'views'"),
        ("training: {epochs: 1, views: 1000}", "not as both"),
        ("training: {views: 0}", "'training.views' must be at least 1, not 0"),
        ("training: 3", "'training' must be a mapping, not 3"),
        ("views: {crop: {scale: [1.0, 0.4]}}", "'scale' must be [smallest, largest]"),
        ("views: {crop: {scale: [0.4]}}", "the entry 'views.crop.scale.1' is missing"),
        ("views: {horizontal_flip: 2}", "'views.horizontal_flip' must be at most 1, not 2"),
        ("evaluators: {name: knn}", "'evaluators' is a list"),
        ("evaluators: [{name: knn}, {name: knn}]", "'knn' stands in 'evaluators' twice"),
        ("evaluators: [knn]", "the evaluator is a mapping such as {name: knn}, not 'knn'"),
        ("evaluators: [{name: knn, k: 0}]", "'k' must be at least 1 or a list, not 0"),
        ("evaluators: [{name: knn, k: [2, a]}]", "'k.1' must be a whole number, not 'a'"),
        (
            "evaluators: [{name: knn, k: []}]",
            "'k' must be a whole number or a list with at least 1 of them, not a list of 0",
        ),
        ("grid: 3", "'grid' is a mapping of axes, not 3"),
        ("grid: {seed: 3}", "the axis 'seed' is a list of values, not 3"),
        ("grid: {seed: []}", "the axis 'seed' is a list of values, not empty"),
        ("grid: {method: [1]}", "the axis 'method' is no key that a grid can set"),
        ("grid: {objectiv: [{name: vae}]}", "the axis 'objectiv' cannot set it; did you mean 'objective'?"),
        ("grid: {name: [a]}", "the axis 'name' is no key that a grid can set"),
        ("grid: {method: [{grid: {}}]}", "'grid' is the same for all runs of a grid"),
        ("grid: {method: [{latent_dm: 3}]}", "unknown key 'latent_dm'; did you mean 'latent_dim'?"),
        ("training: {views: 100, batch_views: 120}", "'views' is 100, less than the 120 views of one step"),
        ("grid: {seed: [0, -1]}", "'seed' must be at least 0, not -1"),
        ("grid: {seed: [0, 0]}", "cells 1 and 2 of the grid are the same run"),
        ("grid: {objective: [{name: vae}, {name: vae, likelihood: gaussian}]}", "cells 1 and 2 of the grid are the"),
        ("grid: {latent_dim.x: [1]}", "'latent_dim' is 4, without a key 'x'"),
        ("trainig: {views: 1}", "unknown key 'trainig'; did you mean 'training'?"),
    ],
)
def test_each_error_is_one_sentence_at_its_position(change: str, message: str, tmp_path: Path) -> None:
    lines = {
        "name": "name: x",
        "dataset": "dataset: {name: digits}",
        "backbone": "backbone: {name: mlp}",
        "latent_dim": "latent_dim: 4",
        "objective": "objective: {name: simvae}",
        "training": "training: {views: 1000}",
    }
    key = change.split(":")[0]
    file = tmp_path / "x.yaml"
    file.write_text("\n".join({**lines, key: change}.values()))
    (problem,) = problems(file)
    line = [*lines, key].index(key) + 1
    assert problem.startswith(f"{line}:")
    assert message in problem


def test_missing_sections_are_named(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("name: x\n")
    text = "\n".join(problems(file))
    for key in ("dataset", "backbone", "objective", "latent_dim", "training"):
        assert f"'{key}' is missing" in text


def test_overrides_replace_subtrees(small: Callable[..., Path]) -> None:
    (experiment,) = experiments(small(), "objective={name: vae}", "training.views=6e5", "views.crop.scale.0=0.5")
    assert experiment.objective.resolved == {"name": "vae", "likelihood": "gaussian", "sigma2_x": None}
    assert experiment.training.views == 600_000
    assert experiment.views.crop is not None
    assert experiment.views.crop.scale == (0.5, 1.0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.viws=3", "unknown key 'viws'; did you mean 'views'?"),
        ("latent_dim.x=3", "'latent_dim' is 4, without a key 'x'"),
        ("evaluators.3.k=3", "'evaluators' is a list of 1, without a '3'"),
        ("training..views=3", "'training..views' is not a dotted key"),
        ("training.views=many", "'training.views' must be a whole number, not 'many'"),
    ],
)
def test_a_bad_override_is_its_own_position(override: str, message: str, small: Callable[..., Path]) -> None:
    (problem,) = problems(small(), override)
    assert problem == f"-s '{override}': {message}"


def test_grid_multiplies_axes_and_labels(small: Callable[..., Path]) -> None:
    method = [
        {"objective": {"name": "simclr", "temperature": 0.2}, "training.optimizer.lr": 0.01},
        {"objective": {"name": "vae"}},
    ]
    of_grid = experiments(small(grid={"method": method, "seed": [0, 1, 2]}))
    assert [(e.objective.name, e.training.optimizer.lr, e.seed) for e in of_grid] == [
        ("simclr", 0.01, 0),
        ("simclr", 0.01, 1),
        ("simclr", 0.01, 2),
        ("vae", 1e-3, 0),
        ("vae", 1e-3, 1),
        ("vae", 1e-3, 2),
    ]
    assert len({e.folder for e in of_grid}) == 6


def test_an_axis_of_a_section_takes_mappings_as_they_are(small: Callable[..., Path]) -> None:
    of_grid = experiments(small(grid={"objective": [{"name": "random"}, {"name": "simvae", "J": 2}]}))
    assert [e.objective.name for e in of_grid] == ["random", "simvae"]


def test_the_seed_option_fixes_the_axis(small: Callable[..., Path]) -> None:
    file = small(grid={"seed": [0, 1, 2], "latent_dim": [2, 3]})
    assert [(e.seed, e.latent_dim) for e in experiments(file, seed=7)] == [(7, 2), (7, 3)]
    assert [e.seed for e in experiments(file, "grid={}")] == [0]


def test_the_seed_option_fixes_seeds_in_labels_too(small: Callable[..., Path]) -> None:
    assert [e.seed for e in experiments(small(grid={"run": [{"seed": 0}, {"seed": 1}]}), seed=7)] == [7]


def test_an_option_that_the_grid_replaces_is_a_mistake(small: Callable[..., Path]) -> None:
    file = small(grid={"objective": [{"name": "vae"}, {"name": "simvae"}], "seed": [0, 1]})
    (problem,) = problems(file, "objective.sigma2=0.3")
    assert problem == "-s 'objective.sigma2=0.3': the grid sets 'objective' in every run; leave it out with " + (
        "-s 'grid={}', or change the grid"
    )
    assert "the grid sets 'seed'" in problems(file, "seed=5")[0]
    assert len(experiments(file, "objective.sigma2=0.3", "grid={}")) == 1
    assert len(experiments(file, "training.optimizer.lr=0.1")) == 4
    partly = small(grid={"m": [{"training.optimizer.lr": 0.1}, {"seed": 3}]})
    assert [e.training.optimizer.lr for e in experiments(partly, "training.optimizer.lr=0.5")] == [0.1, 0.5]


def test_strings_that_look_like_numbers_survive_the_resolved_file(tmp_path: Path, small: Callable[..., Path]) -> None:
    from simssl.experiment.yaml12 import dump

    evaluators = [{"name": "knn", "as": "0o17"}, {"name": "knn", "as": "007"}]
    (experiment,) = experiments(small(name="1e5", evaluators=evaluators))
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump(experiment.resolved))
    (again,) = experiments(resolved)
    assert again.resolved == experiment.resolved


def test_hash_covers_the_weights_as_written(small: Callable[..., Path]) -> None:
    def digest(**changes: object) -> str:
        (experiment,) = experiments(small(**changes))
        return experiment.digest

    same = digest()
    assert digest(evaluators=[], trackers=[{"name": "console"}], name="other") == same
    for changes in ({"seed": 1}, {"latent_dim": 5}, {"objective": {"name": "vae"}}, {"views": {}}):
        assert digest(**changes) != same


def test_trackers_default_to_console_and_tensorboard(small: Callable[..., Path], tmp_path: Path) -> None:
    file = small()
    file.write_text(file.read_text().replace("trackers: []\n", ""))
    (experiment,) = experiments(file)
    assert [choice.name for choice in experiment.trackers] == ["console", "tensorboard"]


def test_the_resolved_experiment_is_an_experiment(small: Callable[..., Path], tmp_path: Path) -> None:
    import yaml

    (experiment,) = experiments(small(evaluators=[{"name": "knn", "as": "near"}]))
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(yaml.safe_dump(experiment.resolved))
    (again,) = experiments(resolved)
    assert again.resolved == experiment.resolved

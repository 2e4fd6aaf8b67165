"""Views and optimisers in the experiment file: what is right, what is wrong, and how it is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simssl.experiment.config import load_experiments
from simssl.experiment.document import ExperimentError
from simssl.experiment.model import Experiment
from simssl.experiment.schema import schema
from simssl.experiment.settings import LARS, SGD, Adam, AdamW, Blur, Jitter, Training, ViewSettings
from simssl.experiment.yaml12 import dump
from simssl.plugin.registry import Registry

REGISTRY = Registry(builtins_only=True)
OPTIMIZERS = {"adam": Adam, "adamw": AdamW, "sgd": SGD, "lars": LARS}


def one(path: Path) -> Experiment:
    (experiment,) = load_experiments(path, REGISTRY)
    return experiment


@pytest.fixture
def wrong(tmp_path: Path) -> Callable[[str, str], str]:
    """The one problem of an experiment whose views or training are this line."""

    def problem(key: str, line: str) -> str:
        lines = {
            "name": "name: x",
            "dataset": "dataset: {name: digits}",
            "backbone": "backbone: {name: mlp}",
            "latent_dim": "latent_dim: 4",
            "objective": "objective: {name: vae}",
            "training": "training: {views: 1000}",
        }
        file = tmp_path / "x.yaml"
        file.write_text("\n".join({**lines, key: f"{key}: {line}"}.values()))
        with pytest.raises(ExperimentError) as error:
            one(file)
        (only,) = error.value.problems
        return str(only).removeprefix(f"{file}:")

    return problem


NAMES = "'training.optimizer.name' must be 'adam', 'adamw', 'sgd' or 'lars'"


@pytest.mark.parametrize(
    ("optimizer", "at", "message"),
    [
        (
            "{name: sgd, lr: 0.1, betas: [0.9, 0.99]}",
            "betas",
            "unknown key 'betas'; the keys here are lr, momentum, na",
        ),
        ("{name: adamw, momentum: 0.9}", "momentum", "unknown key 'momentum'; the keys here are betas, eps, lr, name"),
        ("{momentum: 0.9}", "momentum", "unknown key 'momentum'; the keys here are betas, eps, lr, name, weight_decay"),
        (
            "{name: lars, lr: 1, trust_coef: 1}",
            "trust_coef",
            "unknown key 'trust_coef'; did you mean 'trust_coefficient'?",
        ),
        ("{name: adm}", "adm", f"{NAMES}, not 'adm'"),
        ("{name: 3}", "3", f"{NAMES}, not 3"),
        ("{name: ~}", "~", f"{NAMES}, not empty"),
        ("{name: [sgd]}", "[sgd]", f"{NAMES}, not a list"),
        ("sgd", "sgd", "'training.optimizer' must be a mapping, not 'sgd'"),
        ("{name: sgd}", "{name", "the key 'training.optimizer.lr' is missing"),
        ("{name: sgd, lr: fast}", "fast", "'training.optimizer.lr' must be a number, not 'fast'"),
        ("{lr: -7}", "-7", "'training.optimizer.lr' must be greater than 0, not -7"),
        ("{name: lars, lr: 1, momentum: 4}", "4", "'training.optimizer.momentum' must be less than 1, not 4"),
        ("{name: sgd, lr: 1, momentum: 0, nesterov: true}", "{name", "'nesterov' needs a 'momentum' greater than 0"),
    ],
)
def test_an_optimiser_takes_what_it_has(
    optimizer: str, at: str, message: str, wrong: Callable[[str, str], str]
) -> None:
    line = f"training: {{views: 1000, optimizer: {optimizer}}}"
    sentence = wrong("training", line.removeprefix("training: "))
    assert sentence.startswith(f"6:{line.index(at) + 1}: {message}")


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ("precision: half", "'training.precision' must be 'float32', 'tf32' or 'bfloat16', not 'half'"),
        ("gradient_clip: 0", "'training.gradient_clip' must be greater than 0, not 0"),
        ("channels_last: 1", "'training.channels_last' must be true or false, not 1"),
    ],
)
def test_training_is_checked(training: str, message: str, wrong: Callable[[str, str], str]) -> None:
    assert message in wrong("training", f"{{views: 1000, {training}}}")


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ("{jitter: {}}", "'jitter' changes nothing; give brightness, contrast, saturation or hue"),
        ("{jitter: {hue: 0.6}}", "'views.jitter.hue' must be at most 0.5, not 0.6"),
        ("{jitter: {brightness: -1}}", "'views.jitter.brightness' must be at least 0, not -1"),
        ("{jitter: {bright: 1}}", "unknown key 'bright'; did you mean 'brightness'?"),
        ("{jitter: 0.8}", "'views.jitter' must be a mapping, not 0.8"),
        ("{grey: 2}", "'views.grey' must be at most 1, not 2"),
        ("{blur: {sigma: [2, 1]}}", "'sigma' must be [smallest, largest], not [2.0, 1.0]"),
        ("{blur: {sigma: [0, 1]}}", "'views.blur.sigma.0' must be greater than 0, not 0"),
        ("{blur: {kernel: 4}}", "'kernel' must be odd, not 4"),
        ("{size: 0}", "'views.size' must be at least 1, not 0"),
    ],
)
def test_views_are_checked(views: str, message: str, wrong: Callable[[str, str], str]) -> None:
    assert message in wrong("views", views)


@pytest.mark.parametrize(
    "optimizer",
    [
        {},
        {"lr": 0.5, "betas": [0.8, 0.9]},
        {"name": "adamw", "weight_decay": 0.2},
        {"name": "sgd", "lr": 0.1, "nesterov": True},
        {"name": "lars", "lr": 0.2, "weight_decay": 1.5e-6},
    ],
)
def test_an_optimiser_is_read_and_written_back(
    optimizer: dict[str, Any], small: Callable[..., Path], tmp_path: Path
) -> None:
    experiment = one(small(training={"views": 1800, "optimizer": optimizer}))
    checked = experiment.training.optimizer
    assert type(checked) is OPTIMIZERS[optimizer.get("name", "adam")]
    written = checked.model_dump(mode="json")
    assert written.items() >= optimizer.items()
    again = tmp_path / "resolved.yaml"
    again.write_text(dump(experiment.resolved))
    assert one(again).training == experiment.training


def test_the_papers_views_and_simclrs_are_read(small: Callable[..., Path]) -> None:
    jitter = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2, "probability": 1.0}
    views = {"size": 32, "jitter": jitter, "grey": 0.2, "blur": {"sigma": [0.1, 2.0], "probability": 0.5}}
    checked = one(small(views=views)).views
    assert checked.model_dump(mode="json", exclude_defaults=True).items() >= {"size": 32, "grey": 0.2}.items()
    assert checked.jitter is not None
    assert checked.jitter.model_dump() == jitter
    assert checked.blur is not None
    assert checked.blur.sigma == (0.1, 2.0)


def test_the_schema_has_every_optimiser_with_its_own_keys() -> None:
    document, _ = schema(REGISTRY)
    definitions = document["$defs"]
    choices = definitions["Training"]["properties"]["optimizer"]["oneOf"]
    assert [choice["$ref"] for choice in choices] == [f"#/$defs/{o.__name__}" for o in OPTIMIZERS.values()]
    for name, optimizer in OPTIMIZERS.items():
        definition = definitions[optimizer.__name__]
        assert set(definition["properties"]) == set(optimizer.model_fields)
        assert ("name" in definition.get("required", [])) is (name != "adam")  # so that one alone fits without it


@pytest.mark.parametrize("section", [*OPTIMIZERS.values(), ViewSettings, Jitter, Blur, Training])
def test_every_field_is_described(section: type[Any]) -> None:
    assert all(field.description for field in section.model_fields.values())


@pytest.mark.parametrize("section", [*OPTIMIZERS.values(), ViewSettings, Jitter, Blur, Training])
def test_the_page_of_the_experiment_file_names_every_key(section: type[Any]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "experiment.md").read_text()
    assert all(f"`{field}`" in page for field in section.model_fields)


def test_views_without_newer_steps_are_written_down_as_they_were_before_these() -> None:
    """Byte for byte, so that the file of a run that goes on stays as it is."""
    keys = ["size", "crop", "horizontal_flip", "vertical_flip", "jitter", "grey", "blur", "finish"]
    assert list(ViewSettings().model_dump(mode="json")) == keys

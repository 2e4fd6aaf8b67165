"""The section `modalities`: checked with its positions, and part of the hash and of the record where it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simssl.experiment.config import load_experiments, restored
from simssl.experiment.document import ExperimentError
from simssl.experiment.model import Experiment
from simssl.experiment.outline import outlines
from simssl.experiment.schema import schema
from simssl.experiment.yaml12 import dump
from simssl.plugin.registry import Registry

REGISTRY = Registry(builtins_only=True)
CAPTION = {"caption": {"backbone": {"name": "text_transformer", "width": 8}}}
EXPERIMENT = """\
name: x
dataset: {name: digits}
backbone: {name: mlp}
latent_dim: 4
objective: {name: clip}
training: {views: 1000}
"""


def one(path: Path) -> Experiment:
    (experiment,) = load_experiments(path, REGISTRY)
    return experiment


@pytest.mark.parametrize(
    ("section", "at", "message"),
    [
        ("3", "7:13", "'modalities' is a mapping such as {caption: {backbone: {name: ...}}}, not 3"),
        ("{}", "7:13", "'modalities' is a mapping such as"),
        ("{caption: text_transformer}", "7:23", "such as {backbone: {name: ...}}, not 'text_transformer'"),
        ("{caption: {name: text_transformer}}", "7:23", "the modality is a mapping such as"),
        ("{caption: {backbone: {name: text_transforme}}}", "7:41", "did you mean 'text_transformer'?"),
        ("{caption: {backbone: {name: mlp}}}", "7:41", "the backbone 'mlp' takes images, and not a modality"),
        ("{caption: {backbone: {name: text_transformer, widht: 8}}}", "7:59", "did you mean 'width'?"),
        ("{caption: {backbone: {name: text_transformer, heads: 3}}}", "7:34", "'heads' do not divide the 'width'"),
        ("{caption: {backbone: {name: text_transformer}, J: 1}}", "7:60", "unknown key 'J'; a modality has the key"),
        ("{a.b: {backbone: {name: text_transformer}}}", "7:14", "'a.b' is no name of a modality"),
    ],
)
def test_each_mistake_is_one_sentence_at_its_position(section: str, at: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"{EXPERIMENT}modalities: {section}\n")
    with pytest.raises(ExperimentError) as error:
        load_experiments(file, REGISTRY)
    (problem,) = error.value.problems
    assert str(problem.position) == f"{file}:{at}"
    assert message in problem.message


def test_a_backbone_of_words_does_not_take_images(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(EXPERIMENT.replace("name: mlp", "name: text_transformer"))
    with pytest.raises(ExperimentError, match=r"x.yaml:3:18: the backbone 'text_transformer' takes tokens, and not im"):
        load_experiments(file, REGISTRY)


@pytest.mark.parametrize("section", ["", "modalities: {attributes: {backbone: {name: mlp_vector}}}\n"])
def test_an_objective_without_its_network_says_what_to_write(section: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(EXPERIMENT + section)
    with pytest.raises(ExperimentError) as error:
        load_experiments(file, REGISTRY)
    assert str(error.value) == (
        f"{file}:5:12: objective 'clip' learns from the modality 'caption', and the file names no network for it: "
        "write modalities: {caption: {backbone: {name: mlp_vector or text_transformer}}}"
    )


def test_it_is_hashed_and_recorded_only_where_it_is_written(small: Callable[..., Path]) -> None:
    without = one(small())
    with_it = one(small(modalities=CAPTION))
    assert "modalities" not in without.written
    assert "modalities" not in without.resolved
    assert with_it.digest != without.digest
    assert with_it.resolved["modalities"]["caption"]["backbone"]["width"] == 8
    assert [choice.name for choice in with_it.choices].count("text_transformer") == 1
    (outline,) = outlines(small(modalities=CAPTION), REGISTRY)
    assert outline.folder == with_it.folder


def test_the_resolved_experiment_is_an_experiment(small: Callable[..., Path], tmp_path: Path) -> None:
    experiment = one(small(modalities=CAPTION, objective={"name": "clip"}))
    again = tmp_path / "again.yaml"
    again.write_text(dump(experiment.resolved))
    assert one(again).resolved == experiment.resolved
    assert restored(experiment.resolved, experiment.written, REGISTRY) == experiment


def test_a_grid_can_vary_it(small: Callable[..., Path]) -> None:
    narrow: dict[str, Any] = {"modalities.caption.backbone.width": 4}
    wide = {"modalities.caption.backbone.width": 8}
    path = small(modalities=CAPTION, grid={"width": [narrow, wide]})
    assert len({experiment.digest for experiment in load_experiments(path, REGISTRY)}) == 2
    path = small(modalities=CAPTION, grid={"width": [wide, {"modalities.caption.backbone.layers": 2}]})
    with pytest.raises(ExperimentError, match="cells 1 and 2 of the grid are the same run"):
        load_experiments(path, REGISTRY)


def test_editors_know_it() -> None:
    document, _ = schema(REGISTRY)
    section = document["properties"]["modalities"]
    assert section["description"].startswith("The networks of what methods learn from beside the images")
    assert section["additionalProperties"]["properties"]["backbone"] == {"$ref": "#/$defs/backbone"}
    assert section["additionalProperties"]["required"] == ["backbone"]

"""Evaluators measure another layer of the method than its representation, if they are asked to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Command = Callable[..., Result]
Write = Callable[..., Path]

EVALUATORS = {
    "knn": {"name": "knn"},
    "mlp_probe": {"name": "mlp_probe", "epochs": 2},
    "linear_probe": {"name": "linear_probe", "epochs": 2},
    "attributes": {"name": "attributes", "epochs": 2},
    "gmm": {"name": "gmm", "starts": 1},
    "style_probe": {"name": "style_probe", "views": 2},
    "collapse": {"name": "collapse", "views": 2},
}


KEY = {**dict.fromkeys(EVALUATORS, "class/accuracy"), "style_probe": "R2", "collapse": "within_over_between"}


def metrics() -> dict[str, Any]:
    (run,) = Path("runs/small").iterdir()
    entries: dict[str, Any] = json.loads((run / "metrics.json").read_text())["metrics"]
    return entries


@pytest.mark.parametrize("name", EVALUATORS)
def test_the_projection_beside_the_representation(name: str, simssl: Command, small: Write) -> None:
    evaluators = [EVALUATORS[name], {**EVALUATORS[name], "as": "projected", "layer": "projection"}]
    result = simssl("run", small(objective={"name": "simclr", "head": [8, 3]}, evaluators=evaluators))
    assert result.exit_code == 0, result.stderr
    representation, projection = metrics()[f"{name}/{KEY[name]}"], metrics()[f"projected/{KEY[name]}"]
    assert representation["protocol"]["layer"] == "representation"
    assert projection["protocol"]["layer"] == "projection"
    assert "projection" in projection["protocol"]["features"]


def test_features_of_each_layer_are_cached_apart(simssl: Command, small: Write) -> None:
    import numpy as np

    evaluators = [{"name": "knn"}, {"name": "knn", "as": "projected", "layer": "projection"}]
    assert simssl("run", small(objective={"name": "simclr", "head": [8, 3]}, evaluators=evaluators)).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    assert np.load(run / "features" / "projection-test.npy").shape == (360, 3)
    assert np.load(run / "features" / "representation-test.npy").shape == (360, 4)


@pytest.mark.parametrize("name", EVALUATORS)
def test_a_method_without_the_layer_is_skipped_with_the_reason(name: str, simssl: Command, small: Write) -> None:
    evaluators = [{**EVALUATORS[name], "layer": "projection"}, {**EVALUATORS[name], "as": "after"}]
    result = simssl("run", small(objective={"name": "vae"}, evaluators=evaluators))
    assert result.exit_code == 0, result.stderr
    assert metrics()[name]["skipped"] == "vae has no layer 'projection'; it has representation"
    assert "value" in metrics()[f"after/{KEY[name]}"]


@pytest.mark.parametrize("label", [None, "knn_on_projection"])
def test_a_projection_does_not_stand_beside_a_published_representation(
    label: str | None, simssl: Command, small: Write
) -> None:
    Path("published.csv").write_text(
        "dataset,objective,key,value,stderr,source,selected_on\n"
        "digits,simclr,knn/class/accuracy,0.5,,Elsewhere,\n"
        "digits,simclr,knn@projection/class/accuracy,0.25,,Elsewhere,\n"
    )
    projected = {"name": "knn", "layer": "projection"} | ({"as": label} if label else {})
    assert simssl("run", small(objective={"name": "simclr"}, evaluators=[projected])).exit_code == 0
    result = simssl("report", "runs", "--against", "published.csv")
    assert result.exit_code == 0, result.stderr
    assert "Elsewhere: 0.250" in result.stdout
    assert "0.500" not in result.stdout

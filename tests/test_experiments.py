"""Every experiment file that comes with simssl is right, and says what it reproduces."""

from __future__ import annotations

from pathlib import Path

import pytest

from simssl.experiment.config import load_experiments
from simssl.experiment.schema import MODELINE
from simssl.plugin.registry import Registry

FILES = sorted((Path(__file__).parents[1] / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_experiment_is_right(file: Path) -> None:
    cells = load_experiments(file, Registry(builtins_only=True))
    assert cells
    schema, about, *_ = file.read_text().splitlines()
    assert schema == MODELINE.format("simssl.schema.json")
    assert about.startswith("# "), "it opens with what it reproduces"
    assert {cell.name for cell in cells} == {file.stem.replace("_", "-")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_methods_of_an_experiment_are_compared_at_equal_work(file: Path) -> None:
    cells = load_experiments(file, Registry(builtins_only=True))
    assert len({(cell.training.views, cell.training.epochs, cell.training.batch_views) for cell in cells}) == 1
    assert len({(str(cell.backbone.resolved), cell.latent_dim, str(cell.views)) for cell in cells}) == 1

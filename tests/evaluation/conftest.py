"""Runs that are trained once for several tests, which only read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from simssl.cli import cli
from simssl.experiment.yaml12 import dump


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of a SimVAE and a SimCLR on digits, of 30 steps each; tests only read them."""
    folder = tmp_path_factory.mktemp("trained")
    experiment = {
        "name": "small",
        "dataset": {"name": "digits"},
        "views": {"crop": {"scale": [0.4, 1.0]}},
        "backbone": {"name": "mlp", "hidden": [16]},
        "latent_dim": 4,
        "objective": {"name": "simvae"},
        "training": {"views": 1800, "batch_views": 60},
        "evaluators": [{"name": "knn"}, {"name": "reconstruction"}],
        "trackers": [],
        "grid": {"objective": [{"name": "simvae", "J": 3}, {"name": "simclr"}]},
    }
    (folder / "small.yaml").write_text(dump(experiment))
    result = CliRunner().invoke(cli, ["run", str(folder / "small.yaml"), "--runs", str(folder), "--device", "cpu"])
    assert result.exit_code == 0, result.stderr
    return {run.name.split("-")[0]: run for run in (folder / "small").iterdir()}

"""Paths and names as people's systems have them: ~ where no shell has expanded it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from simssl.plugin.registry import Registry

PHOTOS = Registry(builtins_only=True).load("dataset", "image_folder")


def test_a_path_may_begin_at_home(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shell leaves it: after an option's =, and in variables."""
    monkeypatch.setenv("HOME", str(Path("home").resolve()))
    PHOTOS.example(Path("home/data"))
    monkeypatch.setenv("SIMSSL_DATA", "~/data")
    monkeypatch.setenv("SIMSSL_CACHE", "~/cache")
    Path("home/runs").mkdir()
    data = {"name": "image_folder", "path": "photos", "size": 8}
    training = {"views": 9, "batch_views": 9}
    small("home/small.yaml", dataset=data, training=training, evaluators=[{"name": "knn", "k": 1}])
    result = simssl("run", "~/small.yaml", "--runs=~/runs")
    assert result.exit_code == 0, result.stderr
    (run,) = Path("home/runs/small").iterdir()
    assert list(Path("home/cache").iterdir())
    Path("home/table.csv").write_text("dataset,objective,key,value,stderr,source\nimage_folder,simvae,knn,1,,paper\n")
    assert simssl("report", "~/runs", "--html=~/page.html", "--against=~/table.csv").exit_code == 0
    assert Path("home/page.html").exists()
    encoded = simssl("encode", f"~/runs/small/{run.name}", "~/data/photos/dark/grey.png", "-o", "~/one.npz")
    assert encoded.exit_code == 0, encoded.stderr
    assert not Path("~").exists()

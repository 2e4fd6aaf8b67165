"""Runs that are done, and data that is not theirs any more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image

from simssl.plugin.registry import Registry

Command = Callable[..., Result]
Write = Callable[..., Path]

REGISTRY = Registry(builtins_only=True)


def add_class(folder: Path) -> None:
    (folder / "other").mkdir()
    for i in range(6):
        Image.new("RGB", (20, 20), (40 * i, 0, 0)).save(folder / "other" / f"{i}.png")


def take_away(folder: Path) -> None:
    (folder / "dark" / "grey.png").unlink()


def recolour(folder: Path) -> None:
    Image.new("RGB", (80, 60), "red").save(folder / "dark" / "grey.png")


@pytest.mark.parametrize("change", [add_class, take_away, recolour])
@pytest.mark.parametrize("evaluators", [[{"name": "knn", "k": 1}], []])
def test_a_run_that_is_done_says_that_its_data_has_changed(
    change: Callable[[Path], None], evaluators: list[object], simssl: Command, small: Write
) -> None:
    REGISTRY.load("dataset", "image_folder").example(Path("data"))
    file = small(
        dataset={"name": "image_folder", "path": "photos", "size": 16},
        training={"views": 60, "batch_views": 12},
        evaluators=evaluators,
    )
    assert simssl("run", file).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    same = simssl("run", file)
    assert "is done already" in same.stderr
    assert "was trained on other data" not in same.stderr
    before = (run / "metrics.json").read_bytes()
    change(Path("data/photos"))
    result = simssl("run", file)
    assert result.exit_code == 0
    assert f"{run} was trained on other data (fingerprint " in result.stderr
    assert "train anew with `simssl run ... --fresh`" in result.stderr
    assert (run / "metrics.json").read_bytes() == before
    assert simssl("run", file, "--fresh").exit_code == 0
    assert "was trained on other data" not in simssl("run", file).stderr


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("cifar10", "cifar-10-batches-py")])
def test_data_that_is_gone_is_not_fetched_for_a_run_that_is_done(
    name: str, folder: str, simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    REGISTRY.load("dataset", name).example(Path("data"))
    file = small(dataset={"name": name}, evaluators=[{"name": "knn", "k": 1}])
    assert simssl("run", file).exit_code == 0
    shutil.rmtree(Path("data") / folder)

    def fetch(*arguments: object, **more: object) -> None:
        Path("fetched").touch()
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", fetch)
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", fetch)
    result = simssl("run", file)
    assert result.exit_code == 0
    assert "is done already" in result.stderr
    assert not Path("fetched").exists()
    (run,) = Path("runs/small").iterdir()
    assert json.loads((run / "metrics.json").read_text())["metrics"]

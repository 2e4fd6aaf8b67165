"""Data sets: real files of the real format, and sentences where something is missing or damaged."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from simssl.api import Data, Split, Target
from simssl.plugin.registry import Registry
from simssl.testing.fixtures import load_example

REGISTRY = Registry(builtins_only=True)
IDX = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}


@pytest.mark.parametrize("name", IDX)
def test_idx_files_are_read_as_they_are(name: str, tmp_path: Path) -> None:
    data = load_example(REGISTRY.load("dataset", name), tmp_path)
    assert data.train.images.shape == (40, 1, 28, 28)
    assert data.train.targets["class"].values.tolist() == [i % 10 for i in range(40)]
    assert data.train.images[3, 0, 6:14, 9:20].eq(255).all()
    assert data.train.images[3].sum() == 255 * 8 * 11
    assert data.test is not None
    assert len(data.test) == 40


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.mark.parametrize("name", IDX)
def test_missing_files_say_what_to_put_where(
    name: str, simssl: Callable[..., Result], small: Callable[..., Path], no_network: None
) -> None:
    result = simssl("run", small(dataset={"name": name}), "--data", "nowhere")
    assert result.exit_code == 2
    assert f"nowhere/{IDX[name]}/raw has no train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-" in result.stderr
    assert "--data" in result.stderr
    assert "Traceback" not in result.stderr
    assert not Path("nowhere").exists()


def test_only_what_is_missing_is_named(
    simssl: Callable[..., Result], small: Callable[..., Path], no_network: None
) -> None:
    REGISTRY.load("dataset", "mnist").example(Path("data"))
    Path("data/MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    result = simssl("run", small(dataset={"name": "mnist"}))
    assert result.exit_code == 2
    assert "data/MNIST/raw has no t10k-labels-idx1-ubyte, which could be neither" in result.stderr


def test_a_damaged_file_is_named(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    REGISTRY.load("dataset", "mnist").example(Path("data"))
    file = Path("data/MNIST/raw/train-images-idx3-ubyte")
    file.write_bytes(file.read_bytes()[:1000])
    result = simssl("run", small(dataset={"name": "mnist"}))
    assert result.exit_code == 2
    assert "train-images-idx3-ubyte" in result.stderr
    assert "is damaged" in result.stderr
    assert "Traceback" not in result.stderr


def test_digits_are_split_once_for_all() -> None:
    digits = REGISTRY.load("dataset", "digits")
    data = digits(digits.Params()).load(Path(), lambda *_: None)
    assert (len(data.train), len(data.test)) == (1437, 360)
    assert data.train.images.shape[1:] == (1, 8, 8)
    assert data.train.images.max() == 255
    for split in (data.train, data.test):
        share = split.targets["class"].values.bincount() / len(split)
        assert bool(((share - 0.1).abs() < 0.01).all())
    assert data.fingerprint == "ab2332773d559275"


def test_a_split_refuses_what_is_not_images_with_targets() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Split(torch.zeros(3, 1, 8, 8))
    with pytest.raises(ValueError, match=r"target 'a' must have one value an image, \(3,\), not \(2,\)"):
        Split(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), {"a": Target(torch.zeros(2))})


def test_the_fingerprint_is_of_images_and_targets() -> None:
    images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    data = [
        Data.of(Split(images)),
        Data.of(Split(images + 1)),
        Data.of(Split(images, {"a": Target(torch.zeros(3))})),
        Data.of(Split(images), Split(images)),
    ]
    assert len({d.fingerprint for d in data}) == 4


def test_the_fingerprint_is_of_the_values_however_they_lie() -> None:
    images = torch.arange(3 * 64, dtype=torch.uint8).view(3, 1, 8, 8)
    turned = images.transpose(2, 3).contiguous().transpose(2, 3)
    content = hashlib.sha256(b"(torch.uint8, (3, 1, 8, 8))" + images.numpy().tobytes()).hexdigest()[:16]
    assert [Data.of(Split(lying)).fingerprint for lying in (images, turned)] == [content] * 2
    labels_NT = torch.arange(2 * len(images)).view(-1, 2)
    columns = labels_NT[:, 1], labels_NT[:, 1].contiguous()
    one, other = (Data.of(Split(images, {"t": Target(column, None)})).fingerprint for column in columns)
    assert one == other


@pytest.mark.slow
@pytest.mark.skipif("SIMSSL_DATA" not in os.environ, reason="SIMSSL_DATA names no folder with the real data")
@pytest.mark.parametrize("name", IDX)
def test_the_real_data_is_whole(name: str) -> None:
    plugin = REGISTRY.load("dataset", name)
    data = plugin(plugin.Params()).load(Path(os.environ["SIMSSL_DATA"]), lambda *_: None)
    assert data.train.images.shape == (60_000, 1, 28, 28)
    assert data.test.images.shape == (10_000, 1, 28, 28)

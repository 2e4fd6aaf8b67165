"""What data sets say of an image on request: true style, captions, attributes. By default they are what they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from simssl.api import Data, Split
from simssl.blocks.text import to_text
from simssl.plugin.registry import Registry

REGISTRY = Registry(builtins_only=True)
IDX = ("mnist", "fashion_mnist")
STYLE = ["area", "thickness", "slant", "width", "height"]


def load(name: str, root: Path, **params: object) -> Data:
    plugin = REGISTRY.load("dataset", name)
    plugin.example(root)
    data: Data = plugin(plugin.Params(**params)).load(root, lambda *_: None)
    return data


def captions(split: Split) -> list[str]:
    caption = split.modalities["caption"]
    assert caption.vocabulary is not None
    return [to_text(tokens, caption.vocabulary) for tokens in caption.values]


@pytest.mark.parametrize("name", IDX)
def test_style_is_measured_of_each_image(name: str, tmp_path: Path) -> None:
    """The example's squares are 8 high and 11 wide, in test 10."""
    data = load(name, tmp_path, style=True)
    assert data.test is not None
    for split, width in ((data.train, 11), (data.test, 10)):
        assert list(split.targets) == ["class", *STYLE]
        assert {split.targets[measure].role for measure in STYLE} == {"style"}
        assert split.targets["height"].values == pytest.approx(torch.full((40,), 0.98 * 8), abs=0.9)
        assert split.targets["width"].values == pytest.approx(torch.full((40,), 0.98 * width), abs=0.9)
        assert split.targets["slant"].values.abs().max() < 1e-3


FINGERPRINTS = {"digits": "ab2332773d559275", "mnist": "382bdf255273037b", "fashion_mnist": "382bdf255273037b"}


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_by_default_the_data_is_what_it_was(name: str, tmp_path: Path) -> None:
    data = load(name, tmp_path)
    assert list(data.train.targets) == ["class"]
    assert not data.train.modalities
    assert data.fingerprint == FINGERPRINTS[name]


def test_captions_and_style_do_not_need_each_other(tmp_path: Path) -> None:
    both = load("mnist", tmp_path, style=True, captions=True)
    told = load("mnist", tmp_path, captions=True)
    assert list(told.train.targets) == ["class"]
    assert captions(both.train) == captions(told.train)


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_captions_name_the_digit(name: str, tmp_path: Path) -> None:
    data = load(name, tmp_path, captions=True)
    assert data.test is not None
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    for split in (data.train, data.test):
        for caption, digit in zip(captions(split), split.targets["class"].values.tolist(), strict=True):
            named = [number for number in range(10) if {names[number], str(number)} & set(caption.split())]
            assert named == [digit]
    assert data.train.modalities["caption"].vocabulary == data.test.modalities["caption"].vocabulary


def test_captions_of_digits_are_the_same_on_every_machine(tmp_path: Path) -> None:
    data = load("digits", tmp_path, captions=True)
    assert captions(data.train)[:2] == ["a normal five upright", "a light 9 straight"]
    assert data.fingerprint == "afe8f72ca1eeb549"
    words = " ".join(captions(data.train)).split()
    for word in ("thin", "medium", "thick", "left", "upright", "right"):
        assert words.count(word) > 50


def test_celeba_has_attributes_as_a_vector_and_in_words(tmp_path: Path) -> None:
    data = load("celeba", tmp_path, attributes=True, captions=True)
    assert data.test is not None
    splits = (data.train, data.test)
    assert len({split.modalities["caption"].vocabulary for split in splits}) == 1
    for split in splits:
        vector = split.modalities["attributes"]
        assert vector.names is not None
        assert len(vector.names) == 40
        has = {name: split.targets[name].values.bool() for name in vector.names}
        for attribute, values in has.items():
            assert torch.equal(vector.values[:, vector.names.index(attribute)].bool(), values)
        for i, caption in enumerate(captions(split)):
            words = set(caption.split())
            assert bool(words & {"man", "guy", "male"}) == bool(has["Male"][i])
            assert bool(words & {"woman", "lady", "female"}) != bool(has["Male"][i])
            assert ("hat" in words) == bool(has["Wearing_Hat"][i])
            assert bool(words & {"beard", "bearded"}) != bool(has["No_Beard"][i])
            assert bool(words & {"young", "youthful"}) == bool(has["Young"][i])
            assert bool(words & {"not", "serious"}) != bool(has["Smiling"][i])
            assert ("blond" in words) <= bool(has["Blond_Hair"][i])


def test_without_being_asked_celeba_is_what_it_was(tmp_path: Path) -> None:
    plain = load("celeba", tmp_path)
    assert not plain.train.modalities
    assert plain.fingerprint != load("celeba", tmp_path, attributes=True).fingerprint


def test_style_and_captions_are_asked_for_in_the_file(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    REGISTRY.load("dataset", "mnist").example(Path("data"))
    dataset = {"name": "mnist", "style": True, "captions": True}
    result = simssl("run", small(dataset=dataset, evaluators=[{"name": "knn", "k": 1}]))
    assert result.exit_code == 0, result.stderr
    assert "measuring the training images: 40/40" in result.stderr

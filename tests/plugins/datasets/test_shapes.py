"""Shapes: each factor is measured in the images by means of its own, and compared with what the set says of it."""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from scipy.stats import spearmanr

from simssl.api import Data, Split
from simssl.plugin.registry import Registry

SHAPES = Registry(builtins_only=True).load("dataset", "shapes")
FLOATS = ("shape_hue", "background_hue", "scale", "rotation", "x", "y")


def load(**params: object) -> Data:
    data: Data = SHAPES(SHAPES.Params(**params)).load(Path(), lambda *_: None)
    return data


@cache
def few(size: int) -> Split:
    return load(size=size, images=400, test_images=20).train


def values(split: Split, name: str) -> np.ndarray:
    return split.targets[name].values.numpy()


def colours(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """The colour (N, 3) of a corner, and that of the pixel that differs most from it."""
    pixels = split.images.double().numpy()
    ground = pixels[:, :, 0, 0]
    apart = np.square(pixels - ground[:, :, None, None]).sum(1)
    farthest = apart.reshape(len(apart), -1).argmax(1)
    shape = pixels.reshape(len(pixels), 3, -1)[np.arange(len(pixels)), :, farthest]
    return ground, shape


def covered(split: Split) -> np.ndarray:
    """How much of each pixel is the shape's (N, S, S), told from the two colours."""
    ground, shape = colours(split)
    difference = (shape - ground)[:, :, None, None]
    along = ((split.images.double().numpy() - ground[:, :, None, None]) * difference).sum(1)
    return along / np.square(difference).sum(1)


def moment(split: Split, order: int, turns: int) -> np.ndarray:
    """The mean (N,) over the shape's area of r^order exp(i turns angle), r in units of the square root of the area."""
    share = covered(split)
    area = share.sum((1, 2))
    row, column = np.mgrid[: share.shape[1], : share.shape[2]]
    x = (share * column).sum((1, 2)) / area
    y = (share * row).sum((1, 2)) / area
    right = (column - x[:, None, None]) / np.sqrt(area)[:, None, None]
    up = (y[:, None, None] - row) / np.sqrt(area)[:, None, None]
    at = right + 1j * up
    return (share * np.abs(at) ** (order - turns) * at**turns).sum((1, 2)) / area


@pytest.mark.parametrize("size", [32, 64])
def test_scale_and_place_are_area_and_centroid(size: int) -> None:
    split = few(size)
    share = covered(split)
    area = share.sum((1, 2))
    assert np.abs(np.sqrt(area) / size - values(split, "scale")).max() < 0.1 / size, "whatever the shape"
    middle = (np.arange(size) + 0.5) / size
    x = (share.sum(1) * middle).sum(1) / area
    y = (share.sum(2) * middle).sum(1) / area
    assert np.abs(x - values(split, "x")).max() < 0.1 / size
    assert np.abs(y - values(split, "y")).max() < 0.1 / size


def test_hues_are_those_of_the_pixels() -> None:
    split = few(32)
    for name, of_name in zip(("background_hue", "shape_hue"), colours(split), strict=True):
        measured = torch.tensor([colorsys.rgb_to_hsv(*colour)[0] for colour in (of_name / 255).tolist()])
        apart = (measured - split.targets[name].values).abs()
        assert torch.minimum(apart, 1 - apart).max() < 0.01
        assert split.targets[name].period == 1


ORIENTED = {"square": (4, 4, 180), "ellipse": (2, 2, 0), "heart": (3, 1, 90), "triangle": (3, 3, 270)}
"""Of each shape a moment that turns with it, how often in a turn, and its angle in degrees where it is upright."""


@pytest.mark.parametrize("shape", ORIENTED)
def test_rotation_is_the_angle_of_a_moment(shape: str) -> None:
    split = few(64)
    order, turns, upright = ORIENTED[shape]
    angle = np.rad2deg(np.angle(moment(split, order, turns))) - upright
    angle = (angle + 180) % 360 - 180
    is_shape = values(split, "shape") == list(ORIENTED).index(shape)
    apart = (angle / turns - values(split, "rotation"))[is_shape]
    assert np.abs(apart).max() < 5


def test_the_shape_is_known_by_moments_that_do_not_turn() -> None:
    split = few(32)
    assert split.targets["shape"].classes == tuple(ORIENTED)
    invariants = np.stack([np.abs(moment(split, n, m)) for n, m in ((2, 2), (3, 3), (4, 4), (3, 1))], axis=1)
    invariants /= invariants.std(0)
    shape = values(split, "shape")
    typical = np.stack([np.median(invariants[shape == number], axis=0) for number in range(4)])
    nearest = np.square(invariants[:, None] - typical).sum(2).argmin(1)
    assert (nearest == shape).mean() > 0.99


def test_the_whole_shape_is_in_the_image() -> None:
    """No middle of a pixel at the border is in a shape."""
    share = covered(load(images=4000, test_images=20).train)
    border = np.ones((32, 32), dtype=bool)
    border[1:-1, 1:-1] = False
    assert share[:, border].max() < 0.5


def test_roles_and_ranges_are_what_the_set_says() -> None:
    split = load(images=4000, test_images=20).train
    ranges = {"scale": (0.26, 0.39), "rotation": (-40, 40), "x": (0.35, 0.65), "y": (0.35, 0.65)}
    assert split.targets["shape"].role == "content"
    assert (split.targets["shape"].values.bincount() / 4000 - 0.25).abs().max() < 0.03
    for name in FLOATS:
        low, high = ranges.get(name, (0, 1))
        target = split.targets[name]
        assert (target.role, target.values.dtype) == ("style", torch.float32)
        place = (target.values - low) / (high - low)
        assert 0 <= place.min() < 0.01
        assert 0.99 < place.max() <= 1
        assert abs(place.mean() - 0.5) < 0.02, "uniform"


def test_factors_are_independent() -> None:
    data = load(images=4000)
    assert data.test is not None
    for split in (data.train, data.test):
        correlations = spearmanr(np.stack([values(split, name) for name in ("shape", *FLOATS)], axis=1))[0]
        assert np.abs(correlations - np.eye(7)).max() < 0.06


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.9, 1.0])
def test_the_strength_is_the_rank_correlation_of_two_floats(strength: float) -> None:
    data = load(images=4000, correlate={"factors": ("scale", "background_hue"), "strength": strength})
    assert data.test is not None
    for split, expected in ((data.train, strength), (data.test, 0)):
        found = spearmanr(values(split, "scale"), values(split, "background_hue"))[0]
        assert abs(found - expected) < 0.05
        assert abs(spearmanr(values(split, "scale"), values(split, "x"))[0]) < 0.06


@pytest.mark.parametrize("factors", [("shape", "shape_hue"), ("shape_hue", "shape")])
def test_shapes_are_quarters_of_a_range(factors: tuple[str, str]) -> None:
    data = load(images=4000, correlate={"factors": factors, "strength": 0.8})
    assert data.test is not None
    for split, expected in ((data.train, 0.8 + 0.2 / 4), (data.test, 1 / 4)):
        quarter = np.floor(4 * values(split, "shape_hue"))
        assert abs((quarter == values(split, "shape")).mean() - expected) < 0.03


def test_test_images_are_the_same_whatever_train_is() -> None:
    one = load(images=20, test_images=50)
    other = load(images=40, test_images=50, correlate={"factors": ("x", "y")})
    assert one.test is not None
    assert other.test is not None
    assert torch.equal(one.test.images, other.test.images)


def test_no_test_image_is_a_training_image() -> None:
    data = load(images=2000, test_images=2000)
    assert data.test is not None
    images = torch.cat([data.train.images, data.test.images]).flatten(1)
    assert len(images.unique(dim=0)) == 4000


def test_the_first_images_are_the_same_however_many_there_are() -> None:
    assert torch.equal(load(images=20, test_images=20).train.images, few(32).images[:20])


BYTES = {
    32: "4df9a6dda000fc4a257e3a286e5340955ed66e9b11dcfb7c9abad818f742bdca",
    64: "a291d42cc9da6d708465133f5748e7e73d6ea7b5e92b282df8b7abfade09af4c",
}


@pytest.mark.parametrize("size", BYTES)
def test_the_bytes_are_the_same_on_every_machine(size: int) -> None:
    digest = hashlib.sha256(few(size).images.numpy().tobytes()).hexdigest()
    assert digest == BYTES[size]


def test_no_sine_is_rounded_by_its_last_bits() -> None:
    """Of all the angles that there are, none is so near the middle of two rounded values that machines may differ."""
    place = (np.arange(2**16) + 0.5) / 2**16
    angle = np.deg2rad(-40 + 80 * place)
    for values_of_it in (np.sin(angle), np.cos(angle)):
        past = (values_of_it * 2**20) % 1
        assert np.abs(past - 0.5).min() > 16 * np.spacing(2.0**20)


@pytest.mark.parametrize(
    ("correlate", "message"),
    [
        ({"factors": ["shape", "hue"]}, "'shape', 'shape_hue', 'background_hue', 'scale', 'rotation', 'x' or 'y'"),
        ({"factors": ["x", "x"]}, "'x' is named twice; name two factors"),
        ({"factors": ["x"]}, "factors"),
        ({"factors": ["x", "y"], "strength": 1.5}, "strength"),
    ],
)
def test_a_wrong_dependence_is_told(
    correlate: dict[str, object], message: str, simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    result = simssl("check", small(dataset={"name": "shapes", "correlate": correlate}))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_an_experiment_runs_on_it(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    dataset = {"name": "shapes", "images": 60, "test_images": 20, "correlate": {"factors": ["shape", "shape_hue"]}}
    result = simssl("run", small(dataset=dataset))
    assert result.exit_code == 0, result.stderr

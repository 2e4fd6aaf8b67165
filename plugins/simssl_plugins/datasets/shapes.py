"""Shapes: pictures of one shape on a ground of one colour, drawn by code, so that all that varies in them is known.

N counts images, S is the side of the images, F counts the factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from pydantic import Field, field_validator

import simssl
from simssl.api import Data, Dataset, Progress, Split, Target

Factor = Literal["shape", "shape_hue", "background_hue", "scale", "rotation", "x", "y"]
FACTORS: tuple[str, ...] = get_args(Factor)

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""How far a point is from the edge of a shape, by its two coordinates: negative inside."""

SHAPES = ("square", "ellipse", "heart", "triangle")

RANGES = {
    "shape_hue": (0.0, 1.0),
    "background_hue": (0.0, 1.0),
    "scale": (0.26, 0.39),
    "rotation": (-40.0, 40.0),
    "x": (0.35, 0.65),
    "y": (0.35, 0.65),
}
"""The lowest and the highest value of each float. At any of them the whole shape is in the image."""

TRAIN_SEED, TEST_SEED = 0, 1
BLOCK = 256
"""Images that are drawn at a time, so that what is computed of them stays in a processor's cache."""

SHAPE_COLOUR = (0.4, 1.0)
GROUND_COLOUR = (0.1, 0.4)
"""The lowest and the highest channel of the colours. The shape is the brighter one, whatever the hues."""


class Correlated(simssl.Params):
    """Two factors that depend on each other in train."""

    factors: tuple[Factor, Factor] = Field(examples=[("shape", "shape_hue")])
    "The two factors; the second follows the first."
    strength: float = Field(0.9, ge=0, le=1)
    "The share of the training images in which it does."

    @field_validator("factors")
    @classmethod
    def _are_two(cls, factors: tuple[Factor, Factor]) -> tuple[Factor, Factor]:
        if factors[0] == factors[1]:
            raise ValueError(f"'{factors[0]}' is named twice; name two factors")
        return factors


class Shapes(Dataset):
    """Squares, ellipses, hearts and triangles in RGB, drawn by code from seven factors that are independent.

    Targets: `shape` (content) and the floats, all uniform (style). `shape_hue` and `background_hue` lie on a circle of
    length 1. `scale` is the square root of the shape's area, from 0.26 to 0.39 of the side: shapes of one scale have
    one area. `rotation` is in degrees anticlockwise, from -40 to 40. `x` and `y` are the centroid of the shape, from
    0.35 to 0.65 of the side, counted from the left and from the top.

    The images are the same bytes on every machine. The first images of a split are the same however many there are.
    """

    class Params(simssl.Params):
        size: Literal[32, 64] = 32
        "Side of the images in pixels."
        images: int = Field(20_000, ge=20)
        "Training images."
        test_images: int = Field(4_000, ge=20)
        "Test images."
        correlate: Correlated | None = None
        """Two `factors` (of shape, shape_hue, background_hue, scale, rotation, x, y) that depend on each other in
        train, and not in test. In a share `strength` (0.9 by default) of the images the second has the same place in
        its range as the first in its own; in the others it is drawn independently. So the strength is the rank
        correlation of two floats. The shapes are the quarters of a range, in the order square, ellipse, heart,
        triangle."""

    def load(self, root: Path, progress: Progress) -> Data:
        params = self.params
        train_NF, follows_N = _places(params.images, TRAIN_SEED)
        if params.correlate is not None:
            first, second = map(FACTORS.index, params.correlate.factors)
            follows_N = follows_N < params.correlate.strength
            train_NF[follows_N, second] = train_NF[follows_N, first]
        test_NF, _ = _places(params.test_images, TEST_SEED)
        return Data.of(_split(train_NF, params.size, progress), _split(test_NF, params.size, progress))


def _places(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Each factor's place in its range (N, F), and one more number an image (N,), all uniform in (0, 1).

    They are the upper 16 bits of what the bit generator gives, which NumPy promises not to change.
    """
    columns = len(FACTORS) + 1
    raw_N = np.random.PCG64(seed).random_raw(images * columns)
    place_NF = ((raw_N >> np.uint64(48)) + 0.5) / 2**16
    place_NF = place_NF.reshape(images, columns)
    return place_NF[:, :-1], place_NF[:, -1]


def _split(place_NF: np.ndarray, size: int, progress: Progress) -> Split:
    place = dict(zip(FACTORS, place_NF.T, strict=True))
    shape_N = (len(SHAPES) * place["shape"]).astype(np.int64)
    floats = {}
    for name, (low, high) in RANGES.items():
        floats[name] = low + (high - low) * place[name]
    images_N3SS = np.empty((len(place_NF), 3, size, size), np.uint8)
    drawn = 0
    for number, distance in enumerate(DISTANCES):
        of_shape_N = np.flatnonzero(shape_N == number)
        for start in range(0, len(of_shape_N), BLOCK):
            index_B = of_shape_N[start : start + BLOCK]
            images_N3SS[index_B] = _drawn(distance, {name: value[index_B] for name, value in floats.items()}, size)
            drawn += len(index_B)
            progress("drawing shapes", drawn, len(place_NF))
    targets = {"shape": Target(torch.from_numpy(shape_N), SHAPES, "content")}
    for name, value_N in floats.items():
        period = 1.0 if name.endswith("_hue") else None
        targets[name] = Target(torch.from_numpy(value_N).float(), None, "style", period)
    return Split(torch.from_numpy(images_N3SS), targets)


# --- drawing ---------------------------------------------------------------------------------------------
#
# Sums, products, quotients and square roots are the same on all machines. Sine and cosine may differ in the
# last bit, and are rounded to 20 bits.


def _drawn(distance: Distance, factors: dict[str, np.ndarray], size: int) -> np.ndarray:
    """Images (B, 3, S, S), uint8: a pixel has as much of the shape's colour as the shape covers of it."""
    scale_B11 = factors["scale"][:, None, None]
    u_BSS, v_BSS = _coordinates(factors, size)
    pixels_BSS = distance(u_BSS, v_BSS) * (scale_B11 * size)
    covered_BSS = np.clip(0.5 - pixels_BSS, 0, 1).astype(np.float32)
    shape_B3 = _colour(factors["shape_hue"], *SHAPE_COLOUR)
    ground_B3 = _colour(factors["background_hue"], *GROUND_COLOUR)
    colour_B3SS = covered_BSS[:, None] * (shape_B3 - ground_B3)[..., None, None]
    colour_B3SS += ground_B3[..., None, None]
    return np.rint(colour_B3SS, out=colour_B3SS).astype(np.uint8)


def _coordinates(factors: dict[str, np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel's middle lies as seen from the shape, (B, S, S) each: to its right, and upwards.

    The unit is the square root of the shape's area.
    """
    middle_S = (np.arange(size) + 0.5) / size
    right_BS = (middle_S - factors["x"][:, None]) / factors["scale"][:, None]
    up_BS = (factors["y"][:, None] - middle_S) / factors["scale"][:, None]
    angle_B = np.deg2rad(factors["rotation"])
    cosine_B1 = _rounded(np.cos(angle_B))[:, None]
    sine_B1 = _rounded(np.sin(angle_B))[:, None]
    u_BSS = (cosine_B1 * right_BS)[:, None, :] + (sine_B1 * up_BS)[:, :, None]
    v_BSS = (cosine_B1 * up_BS)[:, :, None] - (sine_B1 * right_BS)[:, None, :]
    return u_BSS, v_BSS


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(values * 2**20) / 2**20


def _colour(hue_B: np.ndarray, low: float, high: float) -> np.ndarray:
    """The colour (B, 3) of a hue in [0, 1], red at 0, whose channels lie between the two levels, in 255ths."""
    behind_3 = np.array([0, 4, 2])
    sixth_B3 = (6 * hue_B[:, None] + behind_3) % 6
    share_B3 = np.clip(np.abs(sixth_B3 - 3) - 1, 0, 1)
    return (255 * (low + (high - low) * share_B3)).astype(np.float32)


# The distances: the shapes have area 1, and their centroid lies at 0.


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) - 0.5


def _ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Twice as wide as high. The distance is that to first order: the ellipse's equation over its gradient."""
    a = math.sqrt(2 / math.pi)
    b = a / 2
    equation = np.square(u / a) + np.square(v / b) - 1
    gradient = 2 * np.sqrt(np.square(u / a**2) + np.square(v / b**2))
    return equation / np.maximum(gradient, 1e-9)


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A square of diagonal 1 that stands on a corner, and a disc on the middle of each of its upper sides."""
    area = 0.5 + math.pi / 8
    radius = math.sqrt(2) / 4
    centroid = (0.25 + (0.75 + 1 / (3 * math.pi)) * math.pi / 8) / area
    across = np.abs(u) * math.sqrt(area)
    above = v * math.sqrt(area) + centroid
    square = (across + np.abs(above - 0.5) - 0.5) / math.sqrt(2)
    disc = np.sqrt(np.square(across - 0.25) + np.square(above - 0.75)) - radius
    return np.minimum(square, disc) / math.sqrt(area)


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Three equal sides, one of them below."""
    inner_radius = 1 / math.sqrt(3 * math.sqrt(3))
    slanted = np.abs(u) * (math.sqrt(3) / 2) + v / 2
    return np.maximum(-v, slanted) - inner_radius


DISTANCES: tuple[Distance, ...] = (_square, _ellipse, _heart, _triangle)
"""In the order of SHAPES."""


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return Shapes

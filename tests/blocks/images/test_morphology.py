"""Strokes whose slant, thickness, width and height are known, because they are drawn so."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from simssl.blocks.images import stroke_measures

SIDE = 28
UP, RIGHT = np.mgrid[13.5:-14.5:-1, -13.5:14.5]


def painted(distance: np.ndarray) -> Tensor:
    """An image (1, 28, 28) of what has a distance below 0, with edges as soft as a pixel."""
    grey = np.clip(0.5 - distance, 0, 1) * 255
    return torch.from_numpy(np.rint(grey)).to(torch.uint8)[None]


def stroke(degrees: float, thickness: float, length: float = 18.0) -> Tensor:
    """A straight stroke that leans so many degrees to the right of upright."""
    angle = math.radians(degrees)
    along = UP * math.cos(angle) + RIGHT * math.sin(angle)
    across = RIGHT * math.cos(angle) - UP * math.sin(angle)
    return painted(np.maximum(np.abs(along) - length / 2, np.abs(across) - thickness / 2))


@pytest.mark.parametrize("thickness", [2.0, 3.0, 4.5, 6.0])
@pytest.mark.parametrize("degrees", [-35, -10, 0, 25, 45])
def test_a_stroke_has_its_slant_thickness_and_area(degrees: float, thickness: float) -> None:
    """The shear of a straight stroke is that of a rectangle, by its moments about its two axes."""
    length = 18.0
    found = {name: float(value) for name, value in stroke_measures(stroke(degrees, thickness)).items()}
    angle = math.radians(degrees)
    covariance = (length**2 - thickness**2) * math.sin(angle) * math.cos(angle)
    variance = length**2 * math.cos(angle) ** 2 + thickness**2 * math.sin(angle) ** 2
    assert found["slant"] == pytest.approx(math.degrees(math.atan(covariance / variance)), abs=1)
    assert found["thickness"] == pytest.approx(thickness, rel=0.21, abs=0.5)
    assert found["area"] == pytest.approx(length * thickness, rel=0.12)


def test_the_mean_thickness_is_right_over_all_slants() -> None:
    for thickness in (2, 3, 4):
        strokes = torch.cat([stroke(degrees, thickness) for degrees in range(-42, 43, 7)])
        assert float(stroke_measures(strokes)["thickness"].mean()) == pytest.approx(thickness, rel=0.1)


@pytest.mark.parametrize("shear", [-0.5, 0.0, 0.3])
def test_a_parallelogram_has_its_width_and_height_once_its_slant_is_taken_out(shear: float) -> None:
    """98 % of them, and a little more, for the image is blurred. `shear`: how far each row up moves it to the right."""
    width, height = 8, 16
    sheared = painted(np.maximum(np.abs(RIGHT - shear * UP) - width / 2, np.abs(UP) - height / 2))
    found = stroke_measures(sheared)
    assert float(found["slant"]) == pytest.approx(math.degrees(math.atan(shear)), abs=0.5)
    assert float(found["width"]) == pytest.approx(0.98 * width, abs=1)
    assert float(found["height"]) == pytest.approx(0.98 * height, abs=0.6)


def test_a_ring_is_as_thick_as_its_line_and_stands_upright() -> None:
    ring = painted(np.abs(np.hypot(RIGHT, UP) - 8) - 1.5)
    found = {name: float(value) for name, value in stroke_measures(ring).items()}
    assert found["thickness"] == pytest.approx(3, abs=0.5)
    assert found["slant"] == pytest.approx(0, abs=0.1)
    assert found["width"] == pytest.approx(found["height"], abs=0.2)


def test_where_a_stroke_lies_and_how_bright_it_is_makes_no_difference() -> None:
    image = stroke(20, 3, 12)
    moved = image.roll((3, -2), (1, 2))
    half_as_bright = image // 2
    for other in (moved, half_as_bright):
        for name, value in stroke_measures(other).items():
            assert float(value) == pytest.approx(float(stroke_measures(image)[name]), abs=0.5)


@pytest.mark.parametrize("level", [0, 255])
def test_of_an_image_without_a_stroke_all_is_finite(level: int) -> None:
    blank = torch.full((2, SIDE, SIDE), level, dtype=torch.uint8)
    found = stroke_measures(blank)
    assert all(bool(value.isfinite().all()) for value in found.values())
    assert found["thickness"].tolist() == found["area"].tolist() == [0, 0]


def test_many_images_are_measured_as_each_by_itself() -> None:
    images = torch.cat([stroke(degrees, 2 + degrees / 20) for degrees in range(0, 40, 2)]).repeat(30, 1, 1)
    told: list[tuple[int, int]] = []
    together = stroke_measures(images, lambda done, total: told.append((done, total)))
    alone = [stroke_measures(image[None]) for image in images[:20]]
    for name, value in together.items():
        assert value.dtype == torch.float32
        assert value.tolist() == [float(one[name]) for one in alone] * 30
    assert told == [(500, 600), (600, 600)]

"""Strokes measured as Castro et al. 2019 (Morpho-MNIST) do: area, thickness, slant, width and height.

N counts images, H and W are the sides of one, twice as many pixels as it came with. Grey levels are whole numbers and
their sums exact, and what is measured is rounded, so that all machines come to the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

SCALE = 2
"""Images are enlarged by this factor first. Castro et al.: 4; at 2 it takes a third of the time, and what is measured
of MNIST correlates with theirs at 0.99 (thickness) and more."""
WEIGHT = 2**12
"""What the weights of enlarging are whole parts of."""
OUTSIDE = 0.02
"""The share of an image's grey that may lie outside its bounding parallelogram, on two sides. Castro et al.'s."""
STEEPEST = 0.7
"""How fast, from one pixel to the next, the distance to the edge may still rise where the middle of a stroke is. It
rises by 0.92 and more elsewhere, and by 0.71 from a right corner inwards."""
BLOCK = 500
"""Images that are measured at a time."""

Measured = Callable[[int, int], None]


def stroke_measures(images_NHW: Tensor, measured: Measured = lambda done, total: None) -> dict[str, Tensor]:
    """What was drawn in each grey image (uint8, bright on dark), by name, float32 (N,) each, to a thousandth.

    `area`: pixels brighter than halfway between the darkest and the brightest. `thickness`: twice the mean distance of
    the middle of the strokes to their edge, in pixels. `slant`: degrees to the right of upright, by the second moments.
    `width` and `height`: those of the parallelogram of this slant that holds 98 % of the grey each way, in pixels.
    `measured` is told how many images are done, of how many.
    """
    parts: dict[str, list[Tensor]] = {}
    for start in range(0, len(images_NHW), BLOCK):
        for name, value_B in _measures(images_NHW[start : start + BLOCK].numpy()).items():
            parts.setdefault(name, []).append(torch.from_numpy(value_B.round(3)).float())
        measured(min(start + BLOCK, len(images_NHW)), len(images_NHW))
    return {name: torch.cat(values) for name, values in parts.items()}


def _measures(images_NHW: np.ndarray) -> dict[str, np.ndarray]:
    """As `stroke_measures`, of a few images."""
    grey_NHW = _enlarged(images_NHW)
    lowest_N11 = grey_NHW.min((1, 2), keepdims=True)
    highest_N11 = grey_NHW.max((1, 2), keepdims=True)
    drawn_NHW = 2 * grey_NHW > lowest_N11 + highest_N11
    shear_N, middle_N = _shear(grey_NHW)
    return {
        "area": drawn_NHW.sum((1, 2)) / SCALE**2,
        "thickness": _thickness(drawn_NHW) / SCALE,
        "slant": np.rad2deg(np.arctan(-shear_N)),
        "width": _width(grey_NHW, shear_N, middle_N) / SCALE,
        "height": _spread(grey_NHW.sum(2)) / SCALE,
    }


def _enlarged(images_NHW: np.ndarray) -> np.ndarray:
    """The images at SCALE times their size, cubic and a little blurred: whole numbers from 0 to 255, as floats."""
    rows = _enlarging(images_NHW.shape[1])
    columns = _enlarging(images_NHW.shape[2])
    weighted_NHW = rows @ images_NHW.astype(np.float64) @ columns.T
    return np.rint(weighted_NHW / WEIGHT**2).clip(0, 255)


def _enlarging(side: int) -> np.ndarray:
    """The weights (SCALE * side, side) of pixels in those of an enlarged image, in parts of WEIGHT."""
    from scipy import ndimage

    cubic = ndimage.zoom(np.eye(side), (SCALE, 1), order=3, mode="nearest", grid_mode=True)
    blurred = ndimage.gaussian_filter1d(cubic, SCALE / 3, axis=0, mode="nearest")
    return np.rint(blurred * WEIGHT)


def _shear(grey_NHW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each image moves to the right from row to row (N,), and the row of its centroid (N,)."""
    row_H = np.arange(grey_NHW.shape[1], dtype=np.float64)
    column_W = np.arange(grey_NHW.shape[2], dtype=np.float64)
    of_row_NH = grey_NHW.sum(2)
    total_N = np.maximum(of_row_NH.sum(1), 1)
    moment_NH = grey_NHW @ column_W
    y_N = of_row_NH @ row_H / total_N
    x_N = moment_NH.sum(1) / total_N
    covariance_N = moment_NH @ row_H / total_N - x_N * y_N
    variance_N = of_row_NH @ np.square(row_H) / total_N - np.square(y_N)
    return covariance_N / np.maximum(variance_N, 1e-3), y_N


def _thickness(drawn_NHW: np.ndarray) -> np.ndarray:
    """Twice the mean distance to the edge (N,) over the middle of the strokes; 0 where nothing is drawn.

    Our middle of a stroke is the ridge of the distances. Castro et al. take scikit-image's medial axis.
    """
    from scipy import ndimage

    distance_NHW = np.empty(drawn_NHW.shape, np.float32)
    for distance_HW, drawn_HW in zip(distance_NHW, drawn_NHW, strict=True):
        distance_HW[:] = ndimage.distance_transform_edt(drawn_HW)
    is_middle_NHW = drawn_NHW & (_steepest_rise(distance_NHW) < STEEPEST)
    parts_NHW = np.rint(1024 * distance_NHW).astype(np.int64)
    sum_N = (parts_NHW * is_middle_NHW).sum((1, 2))
    return 2 * sum_N / 1024 / np.maximum(is_middle_NHW.sum((1, 2)), 1)


def _steepest_rise(values_NHW: np.ndarray) -> np.ndarray:
    """The largest rise from each pixel to one of its eight neighbours, a unit of length (N, H, W)."""
    _, height, width = values_NHW.shape
    padded = np.pad(values_NHW, ((0, 0), (1, 1), (1, 1)))
    steepest_NHW = np.full_like(values_NHW, -np.inf)
    for down, right in ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)):
        neighbour_NHW = padded[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
        rise_NHW = neighbour_NHW - values_NHW
        rise_NHW /= np.float32(math.sqrt(abs(down) + abs(right)))
        np.maximum(steepest_NHW, rise_NHW, out=steepest_NHW)
    return steepest_NHW


def _width(grey_NHW: np.ndarray, shear_N: np.ndarray, middle_N: np.ndarray) -> np.ndarray:
    """Within how many columns (N,) the grey of each image lies, once its slant is taken out."""
    N, height, width = grey_NHW.shape
    moved_NH = shear_N[:, None] * (np.arange(height) - middle_N[:, None])
    place_NHW = np.arange(width) + 0.5 - moved_NH[..., None]
    column_NHW = np.floor(place_NHW).clip(0, width - 1).astype(np.int64)
    column_NHW += width * np.arange(N)[:, None, None]
    of_column = np.bincount(column_NHW.ravel(), grey_NHW.ravel(), minlength=N * width)
    return _spread(of_column.reshape(N, width))


def _spread(grey_NW: np.ndarray) -> np.ndarray:
    """The length (N,) in which all of the grey but OUTSIDE lies, half of the rest on either side."""
    total_N1 = np.maximum(grey_NW.sum(1, keepdims=True), 1)
    before_NW = np.cumsum(grey_NW, axis=1) / total_N1
    before_NW = np.pad(before_NW, ((0, 0), (1, 0)))
    return _reached(before_NW, 1 - OUTSIDE / 2) - _reached(before_NW, OUTSIDE / 2)


def _reached(before_NW: np.ndarray, share: float) -> np.ndarray:
    """Where the rising values of each row, linear between whole places, reach a share (N,); 0 if they never do."""
    last_N1 = (before_NW < share).sum(1, keepdims=True).clip(1, before_NW.shape[1] - 1)
    below_N1 = np.take_along_axis(before_NW, last_N1 - 1, axis=1)
    above_N1 = np.take_along_axis(before_NW, last_N1, axis=1)
    within_N1 = (share - below_N1) / np.where(above_N1 > below_N1, above_N1 - below_N1, 1)
    reached_N = (last_N1 - 1 + within_N1)[:, 0]
    return np.where(before_NW[:, -1] >= share, reached_N, 0.0)

"""Pictures: grids of images, and bars."""

from __future__ import annotations

import torch

from simssl.blocks.images.pictures import bar_charts, picture_grid


def test_a_shorter_row_is_filled_with_white() -> None:
    rows = [torch.zeros(3, 1, 32, 32), torch.zeros(1, 1, 32, 32)]
    picture = picture_grid(rows, tile=32, gap=4)
    assert picture.shape == (1, 2 * 36 + 4, 3 * 36 + 4)
    assert picture[0, 40:72, 4:36].max() == 0
    assert picture[0, 40:, 40:].min() == 255


def test_bars_are_as_high_as_their_values() -> None:
    """On a height of 100 of which 68 pixels are for the highest bar; what is no number has none."""
    values_D = torch.tensor([4.0, 2.0, float("nan"), 0.0])
    picture = bar_charts({"first": values_D, "second": values_D}, width=416, height=100)
    assert picture.dtype == torch.uint8
    assert picture.shape == (1, 200, 416)
    for chart in picture[0].split(100):
        columns = [chart[24:91, 8 + 100 * d + 40] for d in range(4)]
        heights = [int((column < 128).sum()) for column in columns]
        assert heights == [67, 33, 0, 0]


def test_bars_of_nothing_but_zeros() -> None:
    assert bar_charts({"none": torch.zeros(3)}).shape == (1, 160, 640)

"""Pictures made of small images, or of bars."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor


def picture_grid(rows: Sequence[Tensor], tile: int = 64, gap: int = 4) -> Tensor:
    """Rows of images (N, C, H, W) in [0, 1] as one picture (C, height, width), uint8, on white.

    Images smaller than `tile` pixels are enlarged by a whole factor, without smoothing. A row may be shorter.
    """
    strips = []
    for images_NCHW in rows:
        longer = max(images_NCHW.shape[-2:])
        enlarged_NCHW = _enlarge(images_NCHW, max(1, tile // longer))
        tiles = [_on_white(image_CHW, right=gap, below=gap) for image_CHW in enlarged_NCHW]
        strips.append(torch.cat(tiles, dim=2))
    width = max(strip.shape[2] for strip in strips)
    filled = [_on_white(strip, right=width - strip.shape[2]) for strip in strips]
    picture = _on_white(torch.cat(filled, dim=1), left=gap, above=gap)
    return (picture * 255).round().to(torch.uint8)


def _enlarge(images_NCHW: Tensor, factor: int) -> Tensor:
    """The images with every pixel a square of factor x factor."""
    clamped_NCHW = images_NCHW.clamp(0, 1)
    higher_NCHW = clamped_NCHW.repeat_interleave(factor, dim=2)
    return higher_NCHW.repeat_interleave(factor, dim=3)


def _on_white(image_CHW: Tensor, left: int = 0, right: int = 0, above: int = 0, below: int = 0) -> Tensor:
    """The image with margins of these widths."""
    return F.pad(image_CHW, (left, right, above, below), value=1.0)


def captioned_pictures(images_NCHW: Tensor, texts: Sequence[str], tile: int = 96, columns: int = 6) -> Tensor:
    """Images in [0, 1], each below its text, in rows, as one picture (C, height, width), uint8, on white.

    Images are enlarged as in `picture_grid`. A text is cut after four lines.
    """
    lines = [textwrap.wrap(text, tile // 6)[:4] for text in texts]
    deepest = 12 * max(map(len, lines)) + 4
    enlarged_NCHW = _enlarge(images_NCHW, max(1, tile // max(images_NCHW.shape[-2:])))
    gap = max(4, tile - enlarged_NCHW.shape[3])
    tiles = []
    for image_CHW, text in zip(enlarged_NCHW, lines, strict=True):
        room_1HW = _written(text, deepest, image_CHW.shape[2] + gap)
        room_CHW = room_1HW.expand(len(image_CHW), -1, -1)
        tiles.append(torch.cat([room_CHW, _on_white(image_CHW, right=gap, below=4)], dim=1))
    rows = [torch.cat(tiles[i : i + columns], dim=2) for i in range(0, len(tiles), columns)]
    width = max(row.shape[2] for row in rows)
    filled = [_on_white(row, right=width - row.shape[2]) for row in rows]
    picture = _on_white(torch.cat(filled, dim=1), left=4, above=4)
    return (picture * 255).round().to(torch.uint8)


def _written(lines: Sequence[str], height: int, width: int) -> Tensor:
    """Lines of text on white: (1, height, width), in [0, 1]."""
    picture = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(picture)
    for n, line in enumerate(lines):
        draw.text((0, 12 * n), line, fill=0)
    return torch.from_numpy(np.array(picture))[None] / 255


def bar_charts(charts: Mapping[str, Tensor], width: int = 640, height: int = 160, gap: int = 8) -> Tensor:
    """Bar charts of values (D,) from 0 up, one below the other, as one picture (1, charts * height, width), uint8.

    Above each stands its title with its largest value, which fills the height. A value that is no number has no bar.
    """
    picture = Image.new("L", (width, height * len(charts)), 255)
    draw = ImageDraw.Draw(picture)
    room = height - 4 * gap
    for n, (title, values_D) in enumerate(charts.items()):
        values = values_D.double().nan_to_num(0, posinf=0).clamp(min=0).tolist()
        highest = max(values)
        heading = f"{title}; the highest bar is {highest:.3g}"
        draw.text((gap, n * height + gap // 2), heading, fill=0)
        foot = (n + 1) * height - gap
        step = (width - 2 * gap) / len(values)
        for d, value in enumerate(values):
            left = gap + d * step
            top = foot - room * value / (highest or 1)
            right = left + 0.8 * step
            draw.rectangle((round(left), round(top), round(right), foot), fill=96)
        draw.line((gap, foot, width - gap, foot), fill=0)
    return torch.from_numpy(np.array(picture))[None]

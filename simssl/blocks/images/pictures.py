"""Pictures made of small images, or of bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor


def grid(rows: Sequence[Tensor], tile: int = 64, gap: int = 4) -> Tensor:
    """Rows of images (n, C, H, W) in [0, 1] as one picture (C, height, width), uint8, on white.

    Images smaller than `tile` pixels are enlarged by a whole factor, without smoothing. A row may be shorter.
    """
    tiles = [_enlarge(row, max(1, tile // max(row.shape[-2:]))) for row in rows]
    lines = [torch.cat([F.pad(image, (0, gap, 0, gap), value=1.0) for image in row], dim=2) for row in tiles]
    width = max(line.shape[2] for line in lines)
    lines = [F.pad(line, (0, width - line.shape[2]), value=1.0) for line in lines]
    picture = F.pad(torch.cat(lines, dim=1), (gap, 0, gap, 0), value=1.0)
    return (picture * 255).round().to(torch.uint8)


def _enlarge(images_NCHW: Tensor, factor: int) -> Tensor:
    return images_NCHW.clamp(0, 1).repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)


def bars(charts: Mapping[str, Tensor], width: int = 640, height: int = 160, gap: int = 8) -> Tensor:
    """Bar charts of values (D,) from 0 up, one below the other, as one picture (1, charts * height, width), uint8.

    Above each stands its title with its largest value, which fills the height. A value that is no number has no bar.
    """
    picture = Image.new("L", (width, height * len(charts)), 255)
    draw = ImageDraw.Draw(picture)
    for n, (title, values_D) in enumerate(charts.items()):
        values = values_D.double().nan_to_num(0).clamp(min=0).tolist()
        foot, room, step = (n + 1) * height - gap, height - 4 * gap, (width - 2 * gap) / len(values)
        draw.text((gap, n * height + gap // 2), f"{title}; the highest bar is {max(values):.3g}", fill=0)
        for d, value in enumerate(values):
            left, top = gap + d * step, foot - room * value / (max(values) or 1)
            draw.rectangle((round(left), round(top), round(left + 0.8 * step), foot), fill=96)
        draw.line((gap, foot, width - gap, foot), fill=0)
    return torch.from_numpy(np.array(picture))[None]

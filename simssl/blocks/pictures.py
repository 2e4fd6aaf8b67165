"""Pictures made of small images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def grid(rows: Sequence[Tensor], tile: int = 64, gap: int = 4) -> Tensor:
    """Rows of images (n, C, H, W) in [0, 1] as one picture (C, height, width), uint8, on white.

    Images smaller than `tile` pixels are enlarged by a whole factor, without smoothing.
    """
    tiles = [_enlarge(row, max(1, tile // max(row.shape[-2:]))) for row in rows]
    lines = [torch.cat([F.pad(image, (0, gap, 0, gap), value=1.0) for image in row], dim=2) for row in tiles]
    picture = F.pad(torch.cat(lines, dim=1), (gap, 0, gap, 0), value=1.0)
    return (picture * 255).round().to(torch.uint8)


def _enlarge(images_NCHW: Tensor, factor: int) -> Tensor:
    return images_NCHW.clamp(0, 1).repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)

"""Images as a network takes them: standardised, and padded to whole patches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Standardize(nn.Module):
    """(x - mean) / deviation of images (B, C, H, W), channel by channel.

    Where the images have other channels than there are values, each is standardised with their average: grey images
    with that over the colours.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", _each_channel(channels, mean))
        self.register_buffer("std", _each_channel(channels, std))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return (x_BCHW - self.mean) / self.std


def _each_channel(channels: int, values: Sequence[float]) -> Tensor:
    """The values (C, 1, 1), or their average where the images have other channels."""
    if channels != len(values):
        values = (sum(values) / len(values),) * channels
    return torch.tensor(values)[:, None, None]


class PadToMultiple(nn.Module):
    """Images (B, C, H, W) with zeros on the right and below, up to a multiple of so many pixels each way."""

    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.multiple = multiple

    def forward(self, x_BCHW: Tensor) -> Tensor:
        height, width = x_BCHW.shape[2:]
        below = -height % self.multiple
        right = -width % self.multiple
        return F.pad(x_BCHW, (0, right, 0, below)) if below or right else x_BCHW

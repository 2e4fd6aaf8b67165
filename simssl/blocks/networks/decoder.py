"""A decoder for any encoder: upsampling convolutions, to images of any size."""

from __future__ import annotations

import math

from torch import nn

SMALLEST = 4
"""Pixels along the shorter side that the convolutions begin with, or fewer."""
WIDEST = 512
"""The most channels of a convolution."""


def upsampling_decoder(shape: tuple[int, int, int], inputs: int, width: int = 32) -> nn.Sequential:
    """A new network from (B, inputs) to logits (B, C, H, W), for encoders whose mirror nobody has written.

    A linear layer makes an image whose shorter side has at most 4 pixels. Each upsampling repeats pixels, up to twice
    the size, and a 3 x 3 convolution follows it, with batch norm and ReLU before: it makes no checkerboards, as
    transposed convolutions do (Odena et al. 2016). Sizes are those of the image, halved and rounded up.

    `width` counts the channels at the image's own size. Each halving doubles them, up to 512.
    """
    channels, height, width_of_image = shape
    sizes = _halved(height, width_of_image)
    widths = [min(width * 2**halvings, max(width, WIDEST)) for halvings in range(len(sizes))]
    innermost = (widths[-1], *sizes[-1])
    layers: list[nn.Module] = [nn.Linear(inputs, math.prod(innermost)), nn.Unflatten(1, innermost)]
    for stage in reversed(range(len(sizes) - 1)):
        layers += [
            nn.BatchNorm2d(widths[stage + 1]),
            nn.ReLU(),
            nn.Upsample(sizes[stage], mode="nearest"),
            nn.Conv2d(widths[stage + 1], widths[stage], 3, padding=1, bias=False),
        ]
    last = nn.Conv2d(width, channels, 3, padding=1)
    return nn.Sequential(*layers, nn.BatchNorm2d(width), nn.ReLU(), last)


def _halved(height: int, width: int) -> list[tuple[int, int]]:
    """The image's size, and each half of it, rounded up, until the shorter side is small."""
    sizes = [(height, width)]
    while min(sizes[-1]) > SMALLEST:
        height, width = sizes[-1]
        sizes.append((math.ceil(height / 2), math.ceil(width / 2)))
    return sizes

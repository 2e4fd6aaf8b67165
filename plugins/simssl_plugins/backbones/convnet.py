"""Convnet: strided convolutions and their mirror, small enough to train on a CPU (after DCGAN, Radford et al. 2016)."""

from __future__ import annotations

import itertools
import math
from typing import Annotated

from pydantic import Field
from torch import nn

import simssl
from simssl.api import Backbone, Shape
from simssl.blocks.networks import Widths


class Convnet(Backbone):
    """3 x 3 convolutions of stride 2 with batch norm and ReLU, then a linear layer; the decoder runs it backwards.

    Each convolution halves the image, rounded up; the mirror's transposed convolution restores that very size.
    """

    class Params(simssl.Params):
        widths: Annotated[Widths, Field(min_length=1)] = (32, 64, 128, 256)
        "Channels of each convolution. Ours: half of those of DCGAN's discriminator, for speed on a CPU."

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        channels = (shape[0], *self.params.widths)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [
                nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        features = math.prod(self._innermost(shape))
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, outputs))

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        innermost = self._innermost(shape)
        layers: list[nn.Module] = [
            nn.Linear(inputs, math.prod(innermost), bias=False),
            nn.Unflatten(1, innermost),
        ]
        channels = (*reversed(self.params.widths), shape[0])
        larger_sizes = self._sizes(shape)[-2::-1]
        for (before, after), size in zip(itertools.pairwise(channels), larger_sizes, strict=True):
            layers += [
                nn.BatchNorm2d(before),
                nn.ReLU(),
                _doubling(before, after, size),
            ]
        return nn.Sequential(*layers)

    def _sizes(self, shape: Shape) -> list[tuple[int, int]]:
        """Height and width of the image, and after each convolution."""
        _, height, width = shape
        sizes = []
        for halvings in range(len(self.params.widths) + 1):
            part = 2**halvings
            sizes.append((math.ceil(height / part), math.ceil(width / part)))
        return sizes

    def _innermost(self, shape: Shape) -> Shape:
        """Channels, height and width after the last convolution."""
        return (self.params.widths[-1], *self._sizes(shape)[-1])


def _doubling(before: int, after: int, size: tuple[int, int]) -> nn.Module:
    """A transposed convolution to exactly this size, from half of it (rounded up)."""
    height, width = size
    even = ((height + 1) % 2, (width + 1) % 2)
    return nn.ConvTranspose2d(before, after, kernel_size=3, stride=2, padding=1, output_padding=even)


@simssl.hookimpl
def simssl_backbone() -> type[Backbone]:
    return Convnet

"""Convnet: strided convolutions and their mirror, small enough to train on a CPU (after DCGAN, Radford et al. 2016)."""

from __future__ import annotations

import itertools
import math
from typing import Annotated

from pydantic import Field
from torch import nn

import simssl
from simssl.api import Backbone, Shape


class Convnet(Backbone):
    """3 x 3 convolutions of stride 2 with batch norm and ReLU, then a linear layer; the decoder runs it backwards.

    Each convolution halves the image, rounded up; the mirror's transposed convolution restores that very size.
    """

    class Params(simssl.Params):
        widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (32, 64, 128, 256)
        "Channels of each convolution. Ours: half of those of DCGAN's discriminator, for speed on a CPU."

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        channels = (shape[0], *self.params.widths)
        layers = [
            layer
            for before, after in itertools.pairwise(channels)
            for layer in (nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        ]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(math.prod(self._innermost(shape)), outputs))

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        innermost = self._innermost(shape)
        first = nn.Linear(inputs, math.prod(innermost), bias=False), nn.Unflatten(1, innermost)
        channels = (*reversed(self.params.widths), shape[0])
        layers: list[nn.Module] = []
        for (before, after), size in zip(itertools.pairwise(channels), self._sizes(shape)[-2::-1], strict=True):
            layers += nn.BatchNorm2d(before), nn.ReLU(), _doubling(before, after, size)
        return nn.Sequential(*first, *layers)

    def _sizes(self, shape: Shape) -> list[tuple[int, int]]:
        """Height and width of the image, and after each convolution."""
        halved = range(len(self.params.widths) + 1)
        return [(math.ceil(shape[1] / 2**n), math.ceil(shape[2] / 2**n)) for n in halved]

    def _innermost(self, shape: Shape) -> Shape:
        return (self.params.widths[-1], *self._sizes(shape)[-1])


def _doubling(before: int, after: int, size: tuple[int, int]) -> nn.Module:
    """A transposed convolution to exactly this size, from half of it (rounded up)."""
    even = ((size[0] + 1) % 2, (size[1] + 1) % 2)
    return nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=even)


@simssl.hookimpl
def simssl_backbone() -> type[Backbone]:
    return Convnet

"""ResNet-18 (He et al. 2016): timm's, with a stem that suits the size of the images, and its mirror."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import timm
import torch.nn.functional as F
from torch import Tensor, nn

import simssl
from simssl.api import Backbone, Shape
from simssl.blocks.networks import Standardize, stem_of_size

Size = tuple[int, int]

WIDTHS = (64, 128, 256, 512)
"""Channels of the four stages, each of two basic blocks; every stage but the first halves the image."""


class Stem(NamedTuple):
    """The layers before the stages: one convolution, and perhaps a max-pool."""

    kernel: int
    stride: int
    pool: bool

    def __str__(self) -> str:
        pool = "max-pool" if self.pool else "no max-pool"
        return f"{self.kernel} x {self.kernel}, stride {self.stride}, {pool}"

    @property
    def reduction(self) -> int:
        """The factor by which it makes an image smaller."""
        return self.stride * (2 if self.pool else 1)


STEMS = {
    "small": Stem(kernel=3, stride=1, pool=False),
    "medium": Stem(kernel=3, stride=1, pool=True),
    "imagenet": Stem(kernel=7, stride=2, pool=True),
}


class Resnet18(Backbone):
    """timm's ResNet-18, and a decoder of the same stages in reverse.

    Images are standardised with the mean and deviation of ImageNet, grey ones with their average over the colours.
    """

    class Params(simssl.Params):
        stem: Literal["auto", "small", "medium", "imagenet"] = "auto"
        """3 x 3 of stride 1 without max-pool (Chen et al. 2020, B.9), 3 x 3 of stride 1 with it (Ermolov et al. 2021),
        or 7 x 7 of stride 2 with it; auto: by the shorter side, small up to 48 pixels, medium up to 96."""
        pretrained: bool = False
        "Start the encoder from timm's ImageNet weights, which are downloaded once; they need the imagenet stem."

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        channels = shape[0]
        stem = self._stem(shape)
        network = _pretrained(stem, channels, outputs) if self.params.pretrained else _create(channels, outputs)
        if stem.kernel == 3:
            network.conv1 = _he(nn.Conv2d(channels, WIDTHS[0], 3, stem.stride, 1, bias=False))
        if not stem.pool:
            network.maxpool = nn.Identity()
        cfg = network.pretrained_cfg
        return nn.Sequential(Standardize(channels, cfg["mean"], cfg["std"]), network)

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        return Decoder(self._stem(shape), shape, inputs)

    def _stem(self, shape: Shape) -> Stem:
        if self.params.stem != "auto":
            return STEMS[self.params.stem]
        _, height, width = shape
        name = stem_of_size(height, width)
        logging.getLogger("simssl").info(
            f"resnet18 takes the {name} stem ({STEMS[name]}) for images of {height} x {width}; 'stem' chooses another"
        )
        return STEMS[name]


def _pretrained(stem: Stem, channels: int, outputs: int) -> Any:
    """timm's network with its weights; ValueError if they do not fit the stem or the channels, or cannot be had."""
    if stem != STEMS["imagenet"]:
        raise ValueError(f"the pretrained weights have a 7 x 7 stem, not this one ({stem}); set 'stem: imagenet'")
    if channels not in (1, 3):
        raise ValueError(f"the pretrained weights are for images of 1 or 3 channels, not {channels}")
    try:
        return _create(channels, outputs, pretrained=True)
    except Exception as error:  # whatever the hub raises
        text = str(error).strip() or type(error).__name__
        reason = text.splitlines()[0]
        raise ValueError(
            f"the pretrained weights cannot be had ({reason}); connect to the network once, or leave out 'pretrained'"
        ) from error


def _create(channels: int, outputs: int, pretrained: bool = False) -> Any:
    """timm's network.

    No residual branch starts at zero, as it would by timm's default: then no gradient reached its weights.
    """
    return timm.create_model(
        "resnet18", pretrained=pretrained, num_classes=outputs, in_chans=channels, zero_init_last=False
    )


class Decoder(nn.Module):
    """A linear layer, the stages in reverse, and the stem's convolution; nearest upsampling undoes each halving."""

    def __init__(self, stem: Stem, shape: Shape, inputs: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        channels, height, width = shape
        self.size = (height, width)
        sizes = []
        for stage in range(len(widths)):
            reduction = stem.reduction * 2**stage
            sizes.append((_ceil(height, reduction), _ceil(width, reduction)))
        innermost = (widths[-1], *sizes[-1])
        self.first = nn.Sequential(nn.Linear(inputs, math.prod(innermost)), nn.Unflatten(1, innermost))
        blocks = []
        for stage in range(len(widths) - 1, 0, -1):
            blocks += [
                Block(widths[stage], widths[stage], sizes[stage]),
                Block(widths[stage], widths[stage - 1], sizes[stage - 1]),
            ]
        blocks += [
            Block(widths[0], widths[0], sizes[0]),
            Block(widths[0], widths[0], sizes[0]),
        ]
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Conv2d(widths[0], channels, stem.kernel, padding=stem.kernel // 2)

    def forward(self, z_BD: Tensor) -> Tensor:
        h_BCHW = self.blocks(self.first(z_BD))
        logits_BCHW: Tensor = self.last(_resize(h_BCHW, self.size))
        return logits_BCHW


class Block(nn.Module):
    """A basic block in reverse: both branches grow to `size`, the second convolution changes the width."""

    def __init__(self, before: int, after: int, size: Size) -> None:
        super().__init__()
        self.size = size
        self.conv1 = _he(nn.Conv2d(before, before, 3, 1, 1, bias=False))
        self.bn1 = nn.BatchNorm2d(before)
        self.conv2 = _he(nn.Conv2d(before, after, 3, 1, 1, bias=False))
        self.bn2 = nn.BatchNorm2d(after)
        projection = _he(nn.Conv2d(before, after, 1, bias=False)), nn.BatchNorm2d(after)  # drawn even if it is not used
        self.skip = nn.Identity() if before == after else nn.Sequential(*projection)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return (self.branch(x_BCHW) + _resize(self.skip(x_BCHW), self.size)).relu()

    def branch(self, x_BCHW: Tensor) -> Tensor:
        """What is added to the skip."""
        h_BCHW = self.bn1(self.conv1(x_BCHW)).relu()
        branch_BCHW: Tensor = self.bn2(self.conv2(_resize(h_BCHW, self.size)))
        return branch_BCHW


def _resize(x_BCHW: Tensor, size: Size) -> Tensor:
    if x_BCHW.shape[2:] == size:
        return x_BCHW
    return F.interpolate(x_BCHW, size=size, mode="nearest")


def _he(conv: nn.Conv2d) -> nn.Conv2d:
    """Initialised after He et al. 2015, as timm's."""
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _ceil(length: int, parts: int) -> int:
    """length / parts, rounded up."""
    return -(-length // parts)


@simssl.hookimpl
def simssl_backbone() -> type[Backbone]:
    return Resnet18

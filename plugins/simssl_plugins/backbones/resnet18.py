"""ResNet-18 (He et al. 2016): timm's, with a stem that suits the size of the images, and its mirror."""

from __future__ import annotations

import itertools
import logging
import math
from typing import Any, Literal, NamedTuple

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import simssl
from simssl.api import Backbone, Shape

Size = tuple[int, int]

WIDTHS = (64, 128, 256, 512)
"""Channels of the four stages, each of two basic blocks; every stage but the first halves the image."""


class Stem(NamedTuple):
    """What stands before the stages: one convolution, and perhaps a max-pool."""

    kernel: int
    stride: int
    pool: bool

    def __str__(self) -> str:
        kernel, pool = f"{self.kernel} x {self.kernel}", "max-pool" if self.pool else "no max-pool"
        return f"{kernel}, stride {self.stride}, {pool}"


STEMS = {"small": Stem(3, 1, False), "medium": Stem(3, 1, True), "imagenet": Stem(7, 2, True)}
LARGEST = {"small": 48, "medium": 96}
"""The shorter side of an image up to which `auto` takes the stem."""


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
        stem = self._stem(shape)
        network = _pretrained(stem, shape, outputs) if self.params.pretrained else _create(shape, outputs)
        if stem.kernel == 3:
            network.conv1 = _he(nn.Conv2d(shape[0], WIDTHS[0], 3, stem.stride, 1, bias=False))
        if not stem.pool:
            network.maxpool = nn.Identity()
        cfg = network.pretrained_cfg
        return nn.Sequential(_Standardize(shape[0], cfg["mean"], cfg["std"]), network)

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        return _Decoder(self._stem(shape), shape, inputs)

    def _stem(self, shape: Shape) -> Stem:
        if self.params.stem != "auto":
            return STEMS[self.params.stem]
        _, height, width = shape
        name = next((n for n, largest in LARGEST.items() if min(height, width) <= largest), "imagenet")
        logging.getLogger("simssl").info(
            f"resnet18 takes the {name} stem ({STEMS[name]}) for images of {height} x {width}; 'stem' chooses another"
        )
        return STEMS[name]


def _pretrained(stem: Stem, shape: Shape, outputs: int) -> Any:
    """ValueError if the weights mean nothing for this stem or these channels, or cannot be had."""
    if stem != STEMS["imagenet"]:
        raise ValueError(f"the pretrained weights have a 7 x 7 stem, not this one ({stem}); set 'stem: imagenet'")
    if shape[0] not in (1, 3):
        raise ValueError(f"the pretrained weights are for images of 1 or 3 channels, not {shape[0]}")
    try:
        return _create(shape, outputs, pretrained=True)
    except Exception as error:  # whatever the hub raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"the pretrained weights cannot be had ({reason}); connect to the network once, or leave out 'pretrained'"
        ) from error


def _create(shape: Shape, outputs: int, pretrained: bool = False) -> Any:
    """No residual branch starts at zero, as it would by timm's default: then no gradient reached its weights."""
    return timm.create_model(
        "resnet18", pretrained=pretrained, num_classes=outputs, in_chans=shape[0], zero_init_last=False
    )


class _Standardize(nn.Module):
    """(x - mean) / deviation, channel by channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        for name, value in (("mean", mean), ("std", std)):
            each_C = value if channels == len(value) else (sum(value) / len(value),) * channels
            self.register_buffer(name, torch.tensor(each_C)[:, None, None])

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return (x_BCHW - self.mean) / self.std


class _Decoder(nn.Module):
    """A linear layer, the stages in reverse, and the stem's convolution; nearest upsampling undoes each halving."""

    def __init__(self, stem: Stem, shape: Shape, inputs: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.size = (height, width)
        outermost = stem.stride * (2 if stem.pool else 1)
        sizes = [(_ceil(height, outermost * 2**n), _ceil(width, outermost * 2**n)) for n in range(len(WIDTHS))]
        innermost = (WIDTHS[-1], *sizes[-1])
        self.first = nn.Sequential(nn.Linear(inputs, math.prod(innermost)), nn.Unflatten(1, innermost))
        blocks = []
        for (wide, size), (narrow, larger) in itertools.pairwise(zip(WIDTHS[::-1], sizes[::-1], strict=True)):
            blocks += [_Block(wide, wide, size), _Block(wide, narrow, larger)]
        blocks += [_Block(WIDTHS[0], WIDTHS[0], sizes[0]) for _ in range(2)]
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Conv2d(WIDTHS[0], channels, stem.kernel, padding=stem.kernel // 2)

    def forward(self, z_BD: Tensor) -> Tensor:
        h_BCHW = self.blocks(self.first(z_BD))
        logits_BCHW: Tensor = self.last(_resize(h_BCHW, self.size))
        return logits_BCHW


class _Block(nn.Module):
    """A basic block in reverse: both branches grow to `size`, the second convolution changes the width."""

    def __init__(self, before: int, after: int, size: Size) -> None:
        super().__init__()
        self.size = size
        self.conv1, self.bn1 = _he(nn.Conv2d(before, before, 3, 1, 1, bias=False)), nn.BatchNorm2d(before)
        self.conv2, self.bn2 = _he(nn.Conv2d(before, after, 3, 1, 1, bias=False)), nn.BatchNorm2d(after)
        projection = _he(nn.Conv2d(before, after, 1, bias=False)), nn.BatchNorm2d(after)
        self.skip = nn.Identity() if before == after else nn.Sequential(*projection)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        h_BCHW = self.bn1(self.conv1(x_BCHW)).relu()
        h_BCHW = self.bn2(self.conv2(_resize(h_BCHW, self.size)))
        return (h_BCHW + _resize(self.skip(x_BCHW), self.size)).relu()


def _resize(x_BCHW: Tensor, size: Size) -> Tensor:
    return x_BCHW if x_BCHW.shape[2:] == size else F.interpolate(x_BCHW, size=size, mode="nearest")


def _he(conv: nn.Conv2d) -> nn.Conv2d:
    """Initialised after He et al. 2015, as timm's."""
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _ceil(length: int, parts: int) -> int:
    return -(-length // parts)


@simssl.hookimpl
def simssl_backbone() -> type[Backbone]:
    return Resnet18

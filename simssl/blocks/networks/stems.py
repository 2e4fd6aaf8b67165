"""Stems, the layers of a convolutional network before its stages, for images that are smaller than ImageNet's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from torch import nn

StemName = Literal["small", "medium", "imagenet"]
"""small: stride 1 and no max-pool (Chen et al. 2020, B.9); medium: stride 1, and the max-pool (Ermolov et al. 2021);
imagenet: the network's own."""

LARGEST: tuple[tuple[StemName, int], ...] = (("small", 48), ("medium", 96))
"""The shorter side of an image up to which a stem is taken."""
MAX_POOLS = ("maxpool", "features.pool0", "stem.pool")
"""What timm's networks call the max-pool before their stages."""


def stem_of_size(height: int, width: int) -> StemName:
    """The stem that suits images of this size, by their shorter side."""
    for name, largest in LARGEST:
        if min(height, width) <= largest:
            return name
    return "imagenet"


def fit_stem(network: nn.Module, first: Iterable[str], stem: StemName) -> bool:
    """Give a network another stem, in place; False if its first convolutions do not have stride 2.

    `first` names them. Their stride becomes 1, and 7 x 7 pixels become 3 x 3, with new weights. With the small stem
    the max-pool is left out.
    """
    changed = False
    for name in first:
        conv = network.get_submodule(name)
        if not isinstance(conv, nn.Conv2d) or conv.stride != (2, 2):
            continue
        changed = True
        conv.stride = (1, 1)
        if type(conv) is nn.Conv2d and conv.kernel_size == (7, 7):
            _replace(network, name, _three_by_three(conv))
    names = {name for name, _ in network.named_modules()}
    for name in names.intersection(MAX_POOLS):
        if changed and stem == "small":
            _replace(network, name, nn.Identity())
    return changed


def _three_by_three(conv: nn.Conv2d) -> nn.Conv2d:
    """A convolution in the stead of this one, initialised after He et al. 2015, as timm's."""
    has_bias = conv.bias is not None
    smaller = nn.Conv2d(conv.in_channels, conv.out_channels, 3, 1, 1, groups=conv.groups, bias=has_bias)
    nn.init.kaiming_normal_(smaller.weight, mode="fan_out", nonlinearity="relu")
    return smaller


def _replace(network: nn.Module, name: str, layer: nn.Module) -> None:
    around, _, last = name.rpartition(".")
    setattr(network.get_submodule(around), last, layer)

"""Images are standardised and padded, and stems are those of small images."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn

from simssl.blocks.networks import PadToMultiple, Standardize, fit_stem, stem_of_size


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_are_standardised(channels: int) -> None:
    mean, std = (0.5, 0.2, 0.2), (0.1, 0.2, 0.3)
    x = torch.rand(2, channels, 4, 5)
    y = Standardize(channels, mean, std)(x)
    for c in range(channels):
        m, s = (mean[c], std[c]) if channels == 3 else (0.3, 0.2)
        torch.testing.assert_close(y[:, c], (x[:, c] - m) / s)


def test_images_are_padded_on_the_right_and_below() -> None:
    x = torch.rand(2, 3, 5, 8)
    y = PadToMultiple(4)(x)
    assert y.shape == (2, 3, 8, 8)
    assert torch.equal(y[:, :, :5], x)
    assert not y[:, :, 5:].any()
    assert PadToMultiple(1)(x) is x


@pytest.mark.parametrize(
    ("size", "stem"), [(28, "small"), (48, "small"), (49, "medium"), (96, "medium"), (97, "imagenet")]
)
def test_the_stem_goes_by_the_shorter_side(size: int, stem: str) -> None:
    assert stem_of_size(size, 200) == stem
    assert stem_of_size(200, size) == stem


@pytest.mark.parametrize(
    ("model", "reductions"),
    [
        ("test_resnet", (1, 2, 4)),
        ("test_efficientnet", (1, 1, 2)),
        ("resnet18d", (1, 2, 4)),
        ("densenet121", (1, 2, 4)),
        ("resnetv2_18", (1, 2, 4)),
    ],
)
def test_a_stem_makes_an_image_less_small(model: str, reductions: tuple[int, int, int]) -> None:
    """Against the model's own, whose features are 1 / 4 of what the small stem leaves (1 / 2 without a max-pool)."""

    def side(stem: Any) -> int:
        network: Any = timm.create_model(model, num_classes=0)
        first = network.pretrained_cfg["first_conv"]
        if stem != "imagenet":
            assert fit_stem(network, [first], stem)
        features = network.eval().forward_features(torch.rand(1, 3, 128, 128))
        return int(features.shape[-1])

    own = side("imagenet")
    sides = [side("small"), side("medium"), own]
    assert sides == [own * reductions[2] // reduction for reduction in reductions]


def test_seven_by_seven_pixels_become_three_by_three() -> None:
    network: Any = timm.create_model("resnet18", num_classes=0, in_chans=1)
    assert fit_stem(network, ["conv1"], "medium")
    assert network.conv1.kernel_size == (3, 3)
    assert network.conv1.weight.shape == (64, 1, 3, 3)
    assert isinstance(network.maxpool, nn.MaxPool2d)


def test_a_network_without_a_stride_of_two_stays_as_it_is() -> None:
    network: Any = timm.create_model("test_convnext", num_classes=0)
    before = str(network)
    assert not fit_stem(network, ["stem.0"], "small")
    assert str(network) == before

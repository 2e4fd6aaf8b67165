"""The decoder that goes with any encoder: exact sizes, widths that double, and images that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from simssl.blocks.networks import upsampling_decoder


@pytest.mark.parametrize(
    "shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 17, 35), (5, 97, 100), (3, 1, 1), (2, 3, 40), (3, 224, 224)]
)
def test_logits_have_exactly_the_images_shape(shape: tuple[int, int, int]) -> None:
    decoder = upsampling_decoder(shape, 5).eval()
    with torch.no_grad():
        assert decoder(torch.randn(2, 5)).shape == (2, *shape)


@pytest.mark.parametrize(
    ("shape", "width", "innermost", "channels"),
    [
        ((3, 32, 32), 32, (256, 4, 4), [(256, 128), (128, 64), (64, 32), (32, 3)]),
        ((1, 28, 21), 8, (64, 4, 3), [(64, 32), (32, 16), (16, 8), (8, 1)]),
        ((3, 64, 64), 200, (512, 4, 4), [(512, 512), (512, 512), (512, 400), (400, 200), (200, 3)]),
        ((3, 16, 16), 600, (600, 4, 4), [(600, 600), (600, 600), (600, 3)]),
        ((3, 4, 9), 16, (16, 4, 9), [(16, 3)]),
    ],
)
def test_each_halving_doubles_the_channels(
    shape: tuple[int, int, int], width: int, innermost: tuple[int, int, int], channels: list[tuple[int, int]]
) -> None:
    decoder = upsampling_decoder(shape, 5, width)
    assert decoder[:2](torch.randn(2, 5)).shape == (2, *innermost)
    convolutions = [layer for layer in decoder if isinstance(layer, nn.Conv2d)]
    assert [(conv.in_channels, conv.out_channels) for conv in convolutions] == channels


def test_it_learns_images() -> None:
    """Four images of its own latents, far below the error of the mean image."""
    torch.manual_seed(0)
    decoder = upsampling_decoder((3, 15, 18), 4, width=16)
    x = torch.rand(4, 3, 2, 2).repeat_interleave(9, 2).repeat_interleave(9, 3)[:, :, :15]
    optimizer = torch.optim.Adam(decoder.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        error = (decoder(torch.eye(4)).sigmoid() - x).square().mean()
        error.backward()
        optimizer.step()
    assert error.item() < 0.1 * (x - x.mean(0)).square().mean().item()

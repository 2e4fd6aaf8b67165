"""MLPs keep the scale of what passes through them."""

from __future__ import annotations

import torch
from torch import nn

from simssl.blocks.networks.heads import in_float32, mlp


def test_activations_keep_their_scale() -> None:
    torch.manual_seed(0)
    network = mlp((500,) * 8)
    x = torch.randn(1000, 500)
    for module in network:
        x = module(x)
        if isinstance(module, nn.ReLU):
            assert 0.8 < x.square().mean().item() < 1.25  # the second moment, which He's variance keeps
    assert 0.6 < x.var().item() < 1.6


def test_shapes_and_no_layer_at_all() -> None:
    assert mlp((10, 128, 64))(torch.zeros(2, 10)).shape == (2, 64)
    assert [type(module) for module in mlp((10, 4, 4))] == [nn.Linear, nn.ReLU, nn.Linear]
    x = torch.randn(2, 10)
    assert torch.equal(mlp((10,))(x), x)


def test_last_logits_are_float32_under_autocast() -> None:
    layer, z = nn.Linear(3, 5), torch.randn(4, 3)
    expected = layer(z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(in_float32(layer, z), expected)
        assert not torch.equal(layer(z).float(), expected)

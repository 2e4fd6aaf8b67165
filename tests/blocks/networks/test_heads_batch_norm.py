"""Heads: PyTorch's initial weights; with batch norm, normalised before each ReLU, and nothing that it would undo."""

from __future__ import annotations

import torch
from torch import nn

from simssl.blocks.networks.heads import projection_head


def test_every_layer_but_the_last_is_normalised() -> None:
    head = projection_head((3, 4, 5, 2), batch_norm=True)
    hidden = [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    assert [type(module) for module in head] == [*hidden, *hidden, nn.Linear]
    assert [module.bias is not None for module in head if isinstance(module, nn.Linear)] == [False, False, True]
    assert [type(module) for module in projection_head((3, 2), batch_norm=True)] == [nn.Linear]


def test_a_shift_of_the_first_layer_is_undone() -> None:
    head = projection_head((3, 4, 2), batch_norm=True)
    x = torch.randn(6, 3)
    torch.testing.assert_close(head(x + 5), head(x), atol=1e-4, rtol=1e-4)


def test_weights_of_a_seed_do_not_depend_on_batch_norm() -> None:
    def weights(batch_norm: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        return [m.weight for m in projection_head((3, 4, 2), batch_norm) if isinstance(m, nn.Linear)]

    assert all(torch.equal(a, b) for a, b in zip(weights(True), weights(False), strict=True))


def test_the_output_can_be_normalised_too() -> None:
    head = projection_head((3, 4, 2), batch_norm=True, output_norm=True)
    assert [type(module) for module in head] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d]
    z = head(torch.randn(64, 3))
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.var(0, correction=0), torch.ones(2), atol=1e-2, rtol=0)
    assert [module.bias is None for module in head if isinstance(module, nn.Linear)] == [True, True]
    assert [module.affine for module in head if isinstance(module, nn.BatchNorm1d)] == [True, False]


def test_initial_weights_are_those_of_a_linear_layer_as_in_other_code() -> None:
    head = projection_head((2048, 512, 128))
    for layer in (head[0], head[2]):
        bound = layer.in_features**-0.5
        for values in (layer.weight, layer.bias):
            assert values.abs().max() <= bound
            assert abs(values.abs().mean().item() / bound - 0.5) < 0.05  # uniform

"""Copies of weights in bfloat16: a step has the same numbers with them as under autocast alone, in fewer operations."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import pytest
import torch
from references import build, views
from torch import Tensor, nn

from simssl.api import Backbone, Objective, Shape
from simssl.blocks.networks import in_float32
from simssl.params import Params
from simssl.testing.fixtures import TinyBackbone
from simssl.training.machine.shadow_weights import shadow_weights


class Convolutions(TinyBackbone):
    """Layers of each kind that has copies."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        convolution = nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")
        return nn.Sequential(convolution, nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 64, outputs))

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        last = nn.ConvTranspose2d(2, 1, 3, stride=2, padding=1, output_padding=1)
        return nn.Sequential(nn.Linear(inputs, 2 * 16, bias=False), nn.Unflatten(1, (2, 4, 4)), last)


def gradients(objective: Objective, shadows: bool) -> dict[str, Tensor]:
    """The gradients of a step in bfloat16, and the terms of its loss."""
    objective.zero_grad(set_to_none=True)
    x_BJCHW = views(8, len(objective.views)).float()
    generator = torch.Generator().manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16), shadow_weights(objective) if shadows else nullcontext():
        terms = objective(x_BJCHW, torch.arange(8), generator)
    torch.stack(list(terms.loss.values())).sum().backward()
    computed = {name: weight.grad for name, weight in objective.named_parameters() if weight.grad is not None}
    return computed | {f"term {name}": value.detach() for name, value in terms.loss.items()}


@pytest.mark.parametrize("backbone", [TinyBackbone, Convolutions])
@pytest.mark.parametrize("name", ["simvae", "cr_vae", "simclr", "byol", "moco", "dino", "vicreg", "deep_cluster"])
def test_the_numbers_are_those_of_autocast(name: str, backbone: type[Backbone[Params]]) -> None:
    params = {"batch_norm_splits": 2} if name == "moco" else {}
    objective = build(name, backbone=backbone, **params).float().train()
    other = copy.deepcopy(objective)
    expected = gradients(other, shadows=False)
    ours = gradients(objective, shadows=True)
    assert ours.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(ours[key], value), key


def test_weights_are_read_anew_in_each_step() -> None:
    layer = nn.Linear(3, 2)
    x = torch.randn(4, 3)
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            expected = layer(x)
            with shadow_weights(layer):
                assert torch.equal(layer(x), expected)
        with torch.no_grad():
            layer.weight.mul_(2)
    assert "forward" not in vars(layer)


def test_without_autocast_a_layer_is_in_float32_and_both_gradients_count() -> None:
    layer = nn.Linear(3, 2)
    x = torch.randn(4, 3)
    with torch.autocast("cpu", torch.bfloat16), shadow_weights(layer):
        exact = in_float32(layer, x)
        short = layer(x)
    assert torch.equal(exact, layer(x))
    assert short.dtype == torch.bfloat16
    (exact.sum() + short.float().sum()).backward()
    assert layer.bias.grad is not None
    assert torch.equal(layer.bias.grad, torch.full((2,), 8.0))


def test_a_frozen_layer_and_a_shared_weight() -> None:
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    frozen = nn.Linear(3, 3).requires_grad_(False)
    network = nn.Sequential(first, frozen, second)
    with torch.autocast("cpu", torch.bfloat16):
        with shadow_weights(network):
            y = network(torch.ones(2, 3))
        y.float().sum().backward()
        assert first.weight.grad is not None
        ours = first.weight.grad.clone()
        first.weight.grad = None
        network(torch.ones(2, 3)).float().sum().backward()
    torch.testing.assert_close(ours, first.weight.grad)
    assert frozen.weight.grad is None


def test_what_a_forward_may_do_with_a_layer() -> None:
    """Keywords, other weights for one call, a copy of the layer, a `forward` of its own, a hook, its own gradient."""
    layer, up = nn.Linear(3, 3), nn.ConvTranspose2d(1, 1, 3, stride=2)
    own = nn.Linear(3, 3)
    own.forward = lambda input: 7 * input  # type: ignore[method-assign]
    seen: list[Tensor] = []
    layer.weight.register_hook(seen.append)
    x, images = torch.randn(2, 3), torch.randn(1, 1, 4, 4)
    with torch.autocast("cpu", torch.bfloat16), shadow_weights(nn.ModuleList([layer, up, own])):
        assert up(images, output_size=(10, 10)).shape == (1, 1, 10, 10)
        doubled = {"weight": 2 * layer.weight, "bias": layer.bias}
        called = torch.func.functional_call(layer, doubled, (x,))
        copied = copy.deepcopy(layer)
        assert torch.equal(copied(input=x), layer(x))
        assert torch.equal(own(x), 7 * x)
        (gradient,) = torch.autograd.grad(layer(x).float().sum(), layer.weight)
        layer(x).float().sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(called, torch.func.functional_call(layer, doubled, (x,)))
    assert torch.equal(gradient, seen[-1])
    assert torch.equal(own(x), 7 * x)
    assert copied(x).dtype == torch.float32


def test_a_step_that_fails_leaves_nothing_behind() -> None:
    """Its layers are as they were, and the next gradient is that of the next step alone."""
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    network = nn.Sequential(first, second)
    x = torch.randn(4, 3)

    def fail(gradient: Tensor) -> None:
        raise RuntimeError("no memory")

    with torch.autocast("cpu", torch.bfloat16), shadow_weights(network):
        h = first(x)
        h.register_hook(fail)
        y = second(h).float().sum()
    with pytest.raises(RuntimeError, match="no memory"):
        y.backward()
    network.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16), shadow_weights(network):
        network(x).float().sum().backward()
    assert second.bias.grad is not None
    assert torch.equal(second.bias.grad, torch.full((3,), 4.0))
    with pytest.raises(RuntimeError), torch.autocast("cpu", torch.bfloat16), shadow_weights(network):
        network(torch.randn(4, 5))
    assert "forward" not in vars(first)

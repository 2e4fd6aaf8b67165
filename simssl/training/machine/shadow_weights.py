"""Copies in bfloat16 of the weights of linear layers and convolutions, made once a step and in one operation.

Under autocast alone each weight is cast by itself, a teacher's at each use, and so is each gradient on its way back.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from simssl.blocks.internals import copy_each, own_parameters
from simssl.training.machine.precision import CONVOLUTIONS

LAYERS = (nn.Linear, *CONVOLUTIONS)
"""The layers whose products autocast computes in bfloat16. Their `forward` reads nothing but weight and bias."""

Shadows = dict[int, tuple[Tensor, Tensor]]
"""Weights and their copies, by the id of the weight. It keeps the weight, so that no other can have its id."""


@contextmanager
def shadow_weights(module: nn.Module) -> Iterator[None]:
    """Within it the layers of a module compute with copies of their weights where autocast is on.

    The gradient of a copy goes to its weight. Nothing else sees the copies: other code has the weights as they are, and
    a layer that is called without autocast computes with them in float32.
    """
    layers = [layer for layer in module.modules() if type(layer) in LAYERS and "forward" not in vars(layer)]
    shadows = _shadows(layers)
    for layer in layers:
        vars(layer)["forward"] = _Forward(layer, shadows)
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _shadows(layers: list[nn.Module]) -> Shadows:
    """The copies of the weights and biases of the layers, which may share some."""
    distinct: dict[int, Tensor] = {}
    for layer in layers:
        for weight in own_parameters(layer).values():
            if weight is not None:
                distinct[id(weight)] = weight
    weights = list(distinct.values())
    if not weights:
        return {}
    copies = _Copies.apply(*weights)
    return {id(weight): (weight, shadow) for weight, shadow in zip(weights, copies, strict=True)}


class _Copies(torch.autograd.Function):
    """Copies of tensors in bfloat16, in one operation; and of their gradients in float32, in another one."""

    @staticmethod
    def forward(ctx: Any, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        copies = [torch.empty_like(weight, dtype=torch.bfloat16) for weight in weights]
        copy_each(copies, weights)
        frozen = [shadow for shadow, weight in zip(copies, weights, strict=True) if not weight.requires_grad]
        ctx.mark_non_differentiable(*frozen)
        return tuple(copies)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        given = [gradient for gradient in gradients if gradient is not None]
        exact = [torch.empty_like(gradient, dtype=torch.float32) for gradient in given]
        copy_each(exact, given)
        left = iter(exact)
        return tuple(None if gradient is None else next(left) for gradient in gradients)


class _Forward:
    """What a layer computes: by the copies of its weights where autocast is on."""

    def __init__(self, layer: nn.Module, shadows: Shadows) -> None:
        self._layer = layer
        self._shadows = shadows

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        forward: Callable[..., Tensor] = type(self._layer).forward
        x: Tensor = args[0] if args else kwargs["input"]
        if not torch.is_autocast_enabled(x.device.type) or x.dtype == torch.float64:  # which autocast leaves alone
            return forward(self._layer, *args, **kwargs)
        own: dict[str, Any] = own_parameters(self._layer)
        kept = dict(own)
        for name, weight in kept.items():
            _, own[name] = self._shadows.get(id(weight), (weight, weight))
        try:
            return forward(self._layer, *args, **kwargs)
        finally:
            own.update(kept)

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., Tensor]:
        """The `forward` of a layer that is copied in the middle of a step: it has other weights."""
        layer = copy.deepcopy(self._layer, memo)
        return partial(type(layer).forward, layer)

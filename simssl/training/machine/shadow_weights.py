"""Copies in bfloat16 of the weights of linear layers and convolutions, made once a step and in one operation.

Under autocast alone each weight is cast by itself, a teacher's at each use, and so is each gradient on its way back.
"""

from __future__ import annotations

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


class ShadowWeights:
    """The copies of the weights of a module's layers. A layer computes with its copies where autocast is on.

    Nothing else sees them: the weights are what they were for all other code, and a layer that is called without
    autocast computes with them in float32.
    """

    def __init__(self, module: nn.Module) -> None:
        self._layers = [layer for layer in module.modules() if type(layer) in LAYERS]
        self._shadows: dict[int, Tensor] = {}
        """The copy of each weight, by the weight's id: layers may share one."""

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the layers compute with copies of their weights as they are now."""
        weights = self._weights()
        shadows = [self._shadow(weight) for weight in weights]
        with torch.no_grad():
            copy_each(shadows, weights)
        for layer in self._layers:
            vars(layer)["forward"] = partial(_forward, layer, self._shadows)
        try:
            yield
        finally:
            for layer in self._layers:
                del vars(layer)["forward"]

    def return_gradients(self) -> None:
        """Give the weights the gradients of their copies, in float32."""
        fresh: list[Tensor] = []
        given: list[Tensor] = []
        for weight in self._weights():
            shadow = self._shadow(weight)
            if shadow.grad is None:
                continue
            if weight.grad is None:
                weight.grad = torch.empty_like(weight)
                fresh.append(weight.grad)
                given.append(shadow.grad)
            else:
                weight.grad.add_(shadow.grad)
            shadow.grad = None
        copy_each(fresh, given)

    def _weights(self) -> list[nn.Parameter]:
        """The weights and biases of the layers, each once."""
        distinct: dict[int, nn.Parameter] = {}
        for layer in self._layers:
            for weight in own_parameters(layer).values():
                if weight is not None:
                    distinct[id(weight)] = weight
        return list(distinct.values())

    def _shadow(self, weight: nn.Parameter) -> Tensor:
        shadow = self._shadows.get(id(weight))
        if shadow is None or shadow.shape != weight.shape:
            shadow = torch.empty_like(weight, dtype=torch.bfloat16)
            self._shadows[id(weight)] = shadow
        return shadow.requires_grad_(weight.requires_grad)


def _forward(layer: nn.Module, shadows: dict[int, Tensor], x: Tensor, *args: Any) -> Tensor:
    """What the layer makes of x, by the copies of its weights if autocast is on."""
    forward: Callable[..., Tensor] = type(layer).forward
    if not torch.is_autocast_enabled(x.device.type) or x.dtype == torch.float64:  # which autocast leaves alone
        return forward(layer, x, *args)
    own: dict[str, Any] = own_parameters(layer)
    kept = dict(own)
    own.update({name: shadows[id(weight)] for name, weight in kept.items() if weight is not None})
    try:
        return forward(layer, x, *args)
    finally:
        own.update(kept)

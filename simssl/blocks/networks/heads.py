"""Small networks on top of a representation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def mlp(widths: Sequence[int], batch_norm: bool = False) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them, initialised after He et al. 2015.

    With `batch_norm`, every layer but the last is normalised before its ReLU, and has no bias of its own.

    Weights are N(0, 2 / inputs), N(0, 1 / inputs) in the last layer, and biases 0: activations keep their
    scale from layer to layer, which PyTorch's default (a sixth of that variance) does not give.
    """
    linear = [nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(widths)]
    modules: list[nn.Module] = []
    for layer in linear:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="linear" if layer is linear[-1] else "relu")
        nn.init.zeros_(layer.bias)
        modules += [layer, nn.ReLU()]
        if batch_norm and layer is not linear[-1]:
            layer.register_parameter("bias", None)
            modules.insert(-1, nn.BatchNorm1d(layer.out_features))
    return nn.Sequential(*modules[:-1])


def in_float32(layer: nn.Module, z_BD: Tensor) -> Tensor:
    """What a last layer makes of representations, in float32 under autocast too: logits are part of the loss."""
    with torch.autocast(z_BD.device.type, enabled=False):
        logits: Tensor = layer(z_BD.float())
    return logits


def require_two_images(images_per_step: int) -> None:
    """ValueError if a loss that compares images with each other would have nothing to compare."""
    if images_per_step == 1:
        raise ValueError(
            "it compares images with each other, and a step has only one; make training.batch_views larger"
        )

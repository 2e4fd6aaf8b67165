"""Small networks on top of a representation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from simssl.blocks.precision import at_least_float32

Widths = tuple[Annotated[int, Field(ge=1)], ...]
"""The widths of an MLP's layers, each at least 1: the type of a field of `Params`."""


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them, initialised after He et al. 2015.

    Weights are N(0, 2 / inputs), N(0, 1 / inputs) in the last layer, and biases 0: activations keep their
    scale from layer to layer, which PyTorch's default (a sixth of that variance) does not give.
    """
    network = projection_head(widths)
    linear = [module for module in network if isinstance(module, nn.Linear)]
    for layer in linear:
        is_last = layer is linear[-1]
        nn.init.kaiming_normal_(layer.weight, nonlinearity="linear" if is_last else "relu")
        nn.init.zeros_(layer.bias)
    return network


def projection_head(widths: Sequence[int], batch_norm: bool = False, output_norm: bool = False) -> nn.Sequential:
    """A projection head or a predictor: linear layers of these widths with ReLU between them.

    With `batch_norm`, every layer but the last is normalised before its ReLU, and has no bias of its own. With
    `output_norm` the last one is normalised, too, without a scale and a shift (Chen & He 2021).

    Layers are initialised as `nn.Linear` is, as in the code of most methods, lightly's and solo-learn's. Larger weights
    would compute the same where batch norm or a cosine follows, and learn more slowly.
    """
    linear = [nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(widths)]
    modules: list[nn.Module] = []
    for layer in linear:
        is_last = layer is linear[-1]
        is_normalised = output_norm if is_last else batch_norm
        modules.append(layer)
        if is_normalised:
            layer.register_parameter("bias", None)
            modules.append(nn.BatchNorm1d(layer.out_features, affine=not is_last))
        if not is_last:
            modules.append(nn.ReLU())
    return nn.Sequential(*modules)


def in_float32(layer: nn.Module, z_BD: Tensor) -> Tensor:
    """The output of a last layer, in float32 under autocast too: logits are part of the loss."""
    with torch.autocast(z_BD.device.type, enabled=False):
        logits: Tensor = layer(at_least_float32(z_BD))
    return logits


def require_two_images(images_per_step: int) -> None:
    """Raise ValueError if a loss that compares images with each other would have nothing to compare."""
    if images_per_step == 1:
        raise ValueError(
            "it compares images with each other, and a step has only one; make training.batch_views larger"
        )

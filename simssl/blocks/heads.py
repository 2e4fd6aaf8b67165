"""Small networks on top of a representation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn


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

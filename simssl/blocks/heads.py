"""Small networks on top of a representation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them, initialised after He et al. 2015.

    Weights are N(0, 2 / inputs), N(0, 1 / inputs) in the last layer, and biases 0: activations keep their
    scale from layer to layer, which PyTorch's default (a sixth of that variance) does not give.
    """
    linear = [nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(widths)]
    for layer in linear:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="linear" if layer is linear[-1] else "relu")
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*[module for layer in linear for module in (layer, nn.ReLU())][:-1])

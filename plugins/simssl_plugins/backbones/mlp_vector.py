"""MLP of vectors: fully connected layers with ReLU from a vector, such as an image's attributes, and their mirror."""

from __future__ import annotations

from torch import nn

import simssl
from simssl.api import Backbone
from simssl.blocks.networks import Widths, mlp


class MlpVector(Backbone):
    """entries - hidden - outputs, and inputs - hidden reversed - entries; ReLU between the layers."""

    class Params(simssl.Params):
        hidden: Widths = (128, 128)
        "Widths of the hidden layers. Ours, for some tens of attributes."

    input = "vector"

    def encoder(self, shape: tuple[int], outputs: int) -> nn.Module:
        return mlp((*shape, *self.params.hidden, outputs))

    def decoder(self, shape: tuple[int], inputs: int) -> nn.Module:
        return mlp((inputs, *reversed(self.params.hidden), *shape))


@simssl.hookimpl
def simssl_backbone() -> type[Backbone]:
    return MlpVector

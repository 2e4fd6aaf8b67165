"""MLP: fully connected layers with ReLU, and their mirror (the paper's networks on MNIST and FashionMNIST)."""

from __future__ import annotations

import math

from torch import nn

import simssl
from simssl.api import Backbone, Shape
from simssl.blocks.networks import Widths, mlp


class Mlp(Backbone):
    """pixels - hidden - outputs, and inputs - hidden reversed - pixels; ReLU between the layers."""

    class Params(simssl.Params):
        hidden: Widths = (2000, 500, 500)
        "Widths of the hidden layers. Source: the paper's MLP for MNIST and FashionMNIST."

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        widths = (math.prod(shape), *self.params.hidden, outputs)
        return nn.Sequential(nn.Flatten(), mlp(widths))

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        widths = (inputs, *reversed(self.params.hidden), math.prod(shape))
        return nn.Sequential(mlp(widths), nn.Unflatten(1, shape))


@simssl.hookimpl
def simssl_backbone() -> type[Backbone]:
    return Mlp

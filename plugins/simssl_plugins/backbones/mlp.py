"""MLP: fully connected layers with ReLU, and their mirror (the paper's networks on MNIST and FashionMNIST)."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field
from torch import nn

import simssl
from simssl.api import Backbone, Shape
from simssl.blocks.networks.heads import mlp


class Mlp(Backbone):
    """pixels - hidden - outputs, and inputs - hidden reversed - pixels; ReLU between the layers."""

    class Params(simssl.Params):
        hidden: tuple[Annotated[int, Field(ge=1)], ...] = (2000, 500, 500)
        "Widths of the hidden layers. Source: the paper's MLP for MNIST and FashionMNIST."

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), mlp((math.prod(shape), *self.params.hidden, outputs)))

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        return nn.Sequential(mlp((inputs, *reversed(self.params.hidden), math.prod(shape))), nn.Unflatten(1, shape))


@simssl.hookimpl
def simssl_backbone() -> type[Backbone]:
    return Mlp

import math

from torch import nn

import simssl
from simssl.api import Backbone, Shape


class Linear(Backbone):
    """One linear layer each way."""

    class Params(simssl.Params):
        bias: bool = True
        "Add a bias."

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), outputs, self.params.bias))

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, math.prod(shape), self.params.bias), nn.Unflatten(1, shape))


@simssl.hookimpl
def simssl_backbone() -> type[Backbone]:
    return Linear

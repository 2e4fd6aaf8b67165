"""PCA: the first D principal components of the images, a bar that no table should hide (ours).

    z = W (x - m),

the D rows of W the directions of largest variance, m the mean image. P counts the values of an image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

import simssl
from simssl.api import Context, Objective, Posterior
from simssl.blocks.statistics import principal_components


class Pca(Objective):
    """The coordinates of an image along the first D principal components of the training images, without a network.

    They are computed in one pass, in float64: exactly up to 4,096 pixels times channels. Beyond, each batch is merged
    into the D + 256 largest directions so far, which is nearly exact. Signs are fixed, so that runs repeat.
    """

    trained = False
    mean_P: Tensor
    directions_DP: Tensor

    def __init__(self, params: simssl.Params, context: Context) -> None:
        super().__init__(params, context)
        D = context.latent_dim
        N = context.num_images
        P = math.prod(context.image_shape)
        most = min(N, P)
        if most < D:
            raise ValueError(f"latent_dim is {D}, and {N} images of {P} values have {most} principal components")
        self.register_buffer("mean_P", torch.zeros(P))
        self.register_buffer("directions_DP", torch.zeros(D, P))

    def fit(self, batches: Iterable[Tensor], generator: torch.Generator) -> None:
        rows = (x_BCHW.flatten(1) for x_BCHW in batches)
        components = principal_components(rows, self.context.latent_dim)
        self.mean_P.copy_(components.mean_P)
        self.directions_DP.copy_(components.directions_KP)

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        centred_BP = x_BCHW.flatten(1) - self.mean_P
        return Posterior(centred_BP @ self.directions_DP.T)


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return Pca

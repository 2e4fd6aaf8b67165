"""PCA: the first D principal components of the images, a bar that no table should hide (ours)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

import simssl
from simssl.api import Context, Objective, Posterior
from simssl.blocks.statistics.pca import principal_components


class Pca(Objective):
    """The coordinates of an image along the first D principal components of the training images, without a network.

    Found in one pass, in float64: exactly up to 4,096 pixels times channels, and nearly so beyond, where each batch
    is merged into the D + 256 largest directions so far. Signs are fixed, so that runs repeat.
    """

    trained = False
    mean_P: Tensor
    directions_DP: Tensor

    def __init__(self, params: simssl.Params, context: Context) -> None:
        super().__init__(params, context)
        D, P, N = context.latent_dim, math.prod(context.image_shape), context.num_images
        if min(N, P) < D:
            raise ValueError(f"latent_dim is {D}, and {N} images of {P} values have {min(N, P)} principal components")
        self.register_buffer("mean_P", torch.zeros(P))
        self.register_buffer("directions_DP", torch.zeros(D, P))

    def fit(self, batches: Iterable[Tensor], generator: torch.Generator) -> None:
        found = principal_components((x_BCHW.flatten(1) for x_BCHW in batches), self.context.latent_dim)
        self.mean_P.copy_(found.mean_P)
        self.directions_DP.copy_(found.directions_KP)

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        return Posterior((x_BCHW.flatten(1) - self.mean_P) @ self.directions_DP.T)


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return Pca

"""Random: the untrained encoder, the floor of every table."""

from __future__ import annotations

from torch import Tensor

import simssl
from simssl.api import Context, Objective, Posterior


class Random(Objective):
    """The untrained encoder, measured as all others are."""

    trained = False

    def __init__(self, params: simssl.Params, context: Context) -> None:
        super().__init__(params, context)
        self.encoder = context.encoder(context.latent_dim)

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        return Posterior(self.encoder(x_BCHW).float())


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return Random

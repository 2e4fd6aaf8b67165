"""beta-VAE (Higgins et al. 2017): minimise -E_q log p(x|z) + beta KL(q(z|x) || N(0, I))."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import AutoencoderObjective, Objective, Terms
from simssl.blocks.losses import LikelihoodParams


class BetaVae(AutoencoderObjective):
    """The VAE with its divergence from the prior weighted, on one augmented view of each image. Terms in nats per view.

    With beta = 1 it is the VAE.
    """

    class Params(LikelihoodParams, simssl.Params):
        beta: float = Field(4.0, ge=0)
        "Weight of the KL. Ours: the paper's value is not known; 4 is that of Higgins et al. 2017 for 2D shapes."

    views = ("random",)
    permutation_invariant = True

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        sample = self.model.sample(x_BJCHW.flatten(0, 1), self.likelihood.nll, generator)
        return self.terms({"reconstruction": sample.reconstruction, "kl": self.params.beta * sample.kl})


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return BetaVae

"""VAE (Kingma & Welling 2014): minimise -E_q log p(x|z) + KL(q(z|x) || N(0, I))."""

from __future__ import annotations

import torch
from torch import Tensor

import simssl
from simssl.api import AutoencoderObjective, Objective, Terms
from simssl.blocks.losses import LikelihoodParams


class Vae(AutoencoderObjective):
    """The variational autoencoder, on one augmented view of each image. Terms in nats per view."""

    class Params(LikelihoodParams, simssl.Params):
        """The likelihood, and nothing else."""

    views = ("random",)
    permutation_invariant = True

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        sample = self.model.sample(x_BJCHW.flatten(0, 1), self.likelihood.nll, generator)
        return self.terms({"reconstruction": sample.reconstruction, "kl": sample.kl})


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return Vae

"""VAE (Kingma & Welling 2014): minimise -E_q log p(x|z) + KL(q(z|x) || N(0, I))."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Likelihood, Objective, Posterior, Terms
from simssl.blocks.autoencoder import GaussianAutoencoder
from simssl.blocks.gaussian import kl_standard, reparameterize
from simssl.blocks.likelihood import likelihood


class Vae(Objective):
    """The variational autoencoder, on one augmented view of each image. Terms in nats per view."""

    class Params(simssl.Params):
        likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
        "p(x|z): Gaussian with fixed variance around the decoder's mean, or Bernoulli for images of 0 and 1."
        sigma2_x: float | None = Field(None, gt=0)
        "Variance of the Gaussian likelihood; 0.01 if empty. Source: the paper's release (log -4.6)."

    views = ("random",)

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        self.likelihood: Likelihood = likelihood(params.likelihood, params.sigma2_x, context.binary)
        self.model = GaussianAutoencoder(context.encoder, context.decoder, context.latent_dim)

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        x_BCHW = x_BJCHW.flatten(0, 1)
        mean_BD, log_variance_BD = self.model.infer(x_BCHW)
        logits_BCHW = self.model.decode(reparameterize(mean_BD, log_variance_BD, generator))
        return Terms(
            loss={
                "reconstruction": -self.likelihood.log_prob(x_BCHW, logits_BCHW).mean(),
                "kl": kl_standard(mean_BD, log_variance_BD).mean(),
            }
        )

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        mean_BD, log_variance_BD = self.model.infer(x_BCHW)
        return Posterior(mean_BD, log_variance_BD.exp())

    def decode(self, z_BD: Tensor) -> Tensor:
        return self.model.decode(z_BD)


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return Vae

"""CR-VAE (Sinha & Dieng 2021, eq. 3): two VAEs, on an image x and on an augmentation x~ of it, tied together.

Minimise, per view, 1/2 [-L(x) - L(x~) + lambda KL(q(z|x~) || q(z|x))], L the evidence lower bound.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Likelihood, Objective, Posterior, Terms
from simssl.blocks.losses.gaussian import kl_between
from simssl.blocks.losses.likelihoods import LikelihoodParams, likelihood
from simssl.blocks.networks.autoencoder import GaussianAutoencoder


class CrVae(Objective):
    """The VAE on an image and one augmented view of it, whose posteriors it makes agree. Terms in nats per view.

    The gradient goes through both posteriors. With lambda_ = 0 it is the VAE on the same images.
    """

    class Params(LikelihoodParams, simssl.Params):
        lambda_: float = Field(1e-3, ge=0)
        "lambda, the weight of the KL between the posteriors. Source: the authors' code; the paper's is not known."

    views = ("plain", "random")
    permutation_invariant = True

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        self.likelihood: Likelihood = likelihood(params.likelihood, params.sigma2_x, context.binary)
        self.model = GaussianAutoencoder(context.encoder, context.decoder, context.latent_dim)

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        sample = self.model.sample(x_BJCHW.flatten(0, 1), self.likelihood.log_prob, generator)
        mean_BJD, log_variance_BJD = (t.unflatten(0, (-1, 2)) for t in (sample.mean_BD, sample.log_variance_BD))
        plain, augmented = ((mean_BJD[:, j], log_variance_BJD[:, j]) for j in (0, 1))
        consistency = 0.5 * self.params.lambda_ * kl_between(*augmented, *plain).mean()
        return Terms(loss={"reconstruction": sample.reconstruction, "kl": sample.kl, "consistency": consistency})

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        mean_BD, log_variance_BD = self.model.infer(x_BCHW)
        return Posterior(mean_BD, log_variance_BD.exp())

    def decode(self, z_BD: Tensor) -> Tensor:
        return self.model.decode(z_BD)


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return CrVae

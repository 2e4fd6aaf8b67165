"""CR-VAE (Sinha & Dieng 2021, eq. 3): two VAEs, on an image x and on an augmentation x~ of it, tied together.

Minimise, per view, 1/2 [-L(x) - L(x~) + lambda KL(q(z|x~) || q(z|x))], L the evidence lower bound.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import AutoencoderObjective, Objective, Terms
from simssl.blocks.losses import LikelihoodParams, kl_between


class CrVae(AutoencoderObjective):
    """The VAE on an image and one augmented view of it, whose posteriors it makes agree. Terms in nats per view.

    The gradient goes through both posteriors. With lambda_ = 0 it is the VAE on the same images.
    """

    class Params(LikelihoodParams, simssl.Params):
        lambda_: float = Field(1e-3, ge=0)
        "lambda, the weight of the KL between the posteriors. Source: the authors' code; the paper's is not known."

    views = ("plain", "random")
    permutation_invariant = True

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        sample = self.model.sample(x_BJCHW.flatten(0, 1), self.likelihood.nll, generator)
        mean_BJD = sample.mean_BD.unflatten(0, (-1, 2))
        log_variance_BJD = sample.log_variance_BD.unflatten(0, (-1, 2))
        plain = mean_BJD[:, 0], log_variance_BJD[:, 0]
        augmented = mean_BJD[:, 1], log_variance_BJD[:, 1]
        consistency = 0.5 * self.params.lambda_ * kl_between(*augmented, *plain).mean()
        return self.terms({"reconstruction": sample.reconstruction, "kl": sample.kl, "consistency": consistency})


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return CrVae

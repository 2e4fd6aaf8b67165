"""SimVAE (Bizeul, Schölkopf & Allen 2024): the SSL Model fitted by its evidence lower bound, ELBO_SSL.

Model: z_j ~ N(psi, sigma2 I) for the J views of an image, x_j ~ p(x | z_j). Maximise

    sum_j E_q[log p(x_j | z_j)] + sum_j H[q(z_j | x_j)] + E_q[log p(z_1 .. z_J)],

psi integrated out of the last term (`simssl.blocks.losses.log_shared_mean`).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

import simssl
from simssl.api import AutoencoderObjective, Context, Objective, Terms
from simssl.blocks.losses import LikelihoodParams, expected_log_shared_mean, gaussian_entropy, log_shared_mean


class SimVae(AutoencoderObjective):
    """SimVAE: a VAE whose prior draws the J views of an image around one mean. Terms in nats per view.

    With J = 1 and gamma2 = 1 - sigma2 it is the VAE.
    """

    class Params(LikelihoodParams, simssl.Params):
        J: int = Field(10, ge=1)
        "Views of each image. Source: the paper, section 5."
        sigma2: float = Field(0.15, gt=0)
        "Variance of the latents around their shared mean psi. Source: the paper's release."
        psi: Literal["gaussian", "uniform"] = "gaussian"
        "Prior of psi: N(0, gamma2 I), or uniform. Source: the release's default is the Gaussian's, up to constants."
        gamma2: float | None = Field(None, gt=0)
        "Variance of psi where it is Gaussian; 1 - sigma2 / J if empty. Source: equal to the release's default."
        prior: Literal["sampled", "closed_form"] = "sampled"
        "E_q of the prior term: by the sample that is decoded (the paper's way), or in closed form."

        @model_validator(mode="after")
        def _variance_of_psi(self) -> SimVae.Params:
            if self.psi == "uniform" and self.J == 1:
                raise ValueError("under a uniform psi a single view has no prior: take a J of 2 or more")
            if self.psi == "uniform" and self.gamma2 is not None:
                raise ValueError("a uniform psi has no variance: leave out 'gamma2'")
            if self.psi == "gaussian" and self.gamma2 is None and self.sigma2 >= self.J:
                raise ValueError("gamma2 = 1 - sigma2 / J would not be positive: give 'gamma2', or a smaller 'sigma2'")
            return self

        @property
        def variance_of_psi(self) -> float | None:
            """gamma2, or None for a uniform psi."""
            if self.psi == "uniform":
                return None
            if self.gamma2 is None:
                return 1 - self.sigma2 / self.J
            return self.gamma2

    permutation_invariant = True

    @classmethod
    def views_for(cls, params: Params) -> tuple[str, ...]:
        return ("random",) * params.J

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        self.sigma2 = params.sigma2

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        B, J = x_BJCHW.shape[:2]
        sample = self.model.sample(x_BJCHW.flatten(0, 1), self.likelihood.log_prob, generator)
        mean_BJD = sample.mean_BD.unflatten(0, (B, J))
        log_variance_BJD = sample.log_variance_BD.unflatten(0, (B, J))
        z_BJD = sample.z_BD.unflatten(0, (B, J))
        return Terms(
            loss={
                "reconstruction": sample.reconstruction,
                "entropy": -gaussian_entropy(sample.log_variance_BD).mean(),
                "prior": -self._log_prior(mean_BJD, log_variance_BJD, z_BJD).mean() / J,
            }
        )

    def _log_prior(self, mean_BJD: Tensor, log_variance_BJD: Tensor, z_BJD: Tensor) -> Tensor:
        """E_q log p(z_1 .. z_J), (B,)."""
        sigma2 = self.params.sigma2
        gamma2 = self.params.variance_of_psi
        if self.params.prior == "closed_form":
            return expected_log_shared_mean(mean_BJD, log_variance_BJD, sigma2, gamma2)
        return log_shared_mean(z_BJD, sigma2, gamma2)


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return SimVae

"""SimVAE (Bizeul, Schölkopf & Allen 2024): the SSL Model fitted by its evidence lower bound, ELBO_SSL.

Model: z_j ~ N(psi, sigma2 I) for the J views of an image, x_j ~ p(x | z_j). Maximise

    sum_j E_q[log p(x_j | z_j)] + sum_j H[q(z_j | x_j)] + E_q[log p(z_1 .. z_J)],

psi integrated out of the last term (`simssl.blocks.losses.shared_mean_nll`). Each of M modalities, such as a caption,
is one more view: it has its own p(x_m | z_m) and q(z_m | x_m), and J + M latents lie around one psi.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

import simssl
from simssl.api import AutoencoderObjective, Context, Objective, Posterior, Terms
from simssl.blocks.losses import (
    LikelihoodParams,
    expected_log_shared_mean,
    modality_likelihood,
    negative_entropy,
    shared_mean_nll,
)
from simssl.blocks.networks import GaussianAutoencoder, Sample


class SimVae(AutoencoderObjective):
    """SimVAE: a VAE whose prior draws the J views of an image around one mean. Terms in nats per view.

    With J = 1 and gamma2 = 1 - sigma2 it is the VAE. A modality is one more view, of likelihood categorical (tokens) or
    Bernoulli (a vector); its terms are divided by J, too. They are in nats as they are, and pixels outnumber words a
    thousandfold.
    """

    class Params(LikelihoodParams, simssl.Params):
        J: int = Field(10, ge=1)
        "Views of each image. Source: the paper, section 5."
        sigma2: float = Field(0.15, gt=0)
        "Variance of the latents around their shared mean psi. Source: the paper's release."
        psi: Literal["gaussian", "uniform"] = "gaussian"
        "Prior of psi: N(0, gamma2 I), or uniform. Source: the release's default is the Gaussian's, up to constants."
        gamma2: float | None = Field(None, gt=0)
        """Variance of psi where it is Gaussian; 1 - sigma2 / (J + the number of modalities) if empty. Source: equal to
        the release's default."""
        prior: Literal["sampled", "closed_form"] = "sampled"
        "E_q of the prior term: by the sample that is decoded (the paper's way), or in closed form."
        modalities: tuple[str, ...] = simssl.added(())
        "Modalities that are views of an image, too, such as [caption]. Ours."
        modality_weight: float = simssl.added(1.0, gt=0)
        "Factor of the modalities' log likelihoods; 1 is the model's bound. Ours."

        @model_validator(mode="after")
        def _variance_of_psi(self) -> SimVae.Params:
            if self.psi == "uniform" and self.samples == 1:
                raise ValueError("under a uniform psi a single view has no prior: take a J of 2 or more")
            if self.psi == "uniform" and self.gamma2 is not None:
                raise ValueError("a uniform psi has no variance: leave out 'gamma2'")
            if self.psi == "gaussian" and self.gamma2 is None and self.sigma2 >= self.samples:
                raise ValueError("gamma2 = 1 - sigma2 / J would not be positive: give 'gamma2', or a smaller 'sigma2'")
            if len(set(self.modalities)) < len(self.modalities):
                raise ValueError("'modalities' names one twice")
            if self.modality_weight != 1 and not self.modalities:
                raise ValueError("'modality_weight' weighs modalities: leave it out, or name some in 'modalities'")
            return self

        @property
        def samples(self) -> int:
            """J + M, the samples around one psi."""
            return self.J + len(self.modalities)

        @property
        def variance_of_psi(self) -> float | None:
            """gamma2, or None for a uniform psi."""
            if self.psi == "uniform":
                return None
            if self.gamma2 is None:
                return 1 - self.sigma2 / self.samples
            return self.gamma2

    permutation_invariant = True

    @classmethod
    def views_for(cls, params: Params) -> tuple[str, ...]:
        return ("random",) * params.J

    @classmethod
    def modalities_for(cls, params: Params) -> tuple[str, ...]:
        return params.modalities

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        self.sigma2 = params.sigma2
        self.modality_models = nn.ModuleDict()
        for name in params.modalities:
            networks = context.modalities[name]
            self.modality_models[name] = GaussianAutoencoder(networks.encoder, networks.decoder, context.latent_dim)

    def forward(
        self,
        x_BJCHW: Tensor,
        index_B: Tensor,
        generator: torch.Generator,
        modalities_B: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> Terms:
        B, J = x_BJCHW.shape[:2]
        sample = self.model.sample(x_BJCHW.flatten(0, 1), self.likelihood.nll, generator)
        mean_BJD = sample.mean_BD.unflatten(0, (B, J))
        log_variance_BJD = sample.log_variance_BD.unflatten(0, (B, J))
        z_BJD = sample.z_BD.unflatten(0, (B, J))
        loss = {
            "reconstruction": sample.reconstruction,
            "entropy": negative_entropy(sample.log_variance_BD),
        }
        for name, values_B in modalities_B.items():
            sample = self._sample_modality(name, values_B, generator)
            loss[f"reconstruction_{name}"] = self.params.modality_weight * sample.reconstruction / J
            loss[f"entropy_{name}"] = negative_entropy(sample.log_variance_BD) / J
            mean_BJD = torch.cat([mean_BJD, sample.mean_BD[:, None]], dim=1)
            log_variance_BJD = torch.cat([log_variance_BJD, sample.log_variance_BD[:, None]], dim=1)
            z_BJD = torch.cat([z_BJD, sample.z_BD[:, None]], dim=1)
        loss["prior"] = self._prior(mean_BJD, log_variance_BJD, z_BJD) / J
        return self.terms(loss)

    def _sample_modality(self, name: str, values_B: Tensor, generator: torch.Generator) -> Sample:
        """q(z_m | x_m), a sample of it, and its log likelihood."""
        nll = modality_likelihood(self.context.modalities[name].kind).nll
        return self._modality_model(name).sample(values_B, nll, generator)

    def modality_posterior(self, name: str, values_B: Tensor) -> Posterior:
        """The mean and the variance of q(z_m | x_m)."""
        mean_BD, log_variance_BD = self._modality_model(name).infer(values_B)
        return Posterior(mean_BD, log_variance_BD.exp())

    def _modality_model(self, name: str) -> GaussianAutoencoder:
        model = self.modality_models[name]
        assert isinstance(model, GaussianAutoencoder)
        return model

    def _prior(self, mean_BJD: Tensor, log_variance_BJD: Tensor, z_BJD: Tensor) -> Tensor:
        """-E_q log p(z_1 .. z_J), averaged over the images: 0-d."""
        sigma2 = self.params.sigma2
        gamma2 = self.params.variance_of_psi
        if self.params.prior == "closed_form":
            return -expected_log_shared_mean(mean_BJD, log_variance_BJD, sigma2, gamma2).mean()
        return shared_mean_nll(z_BJD, sigma2, gamma2)


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return SimVae

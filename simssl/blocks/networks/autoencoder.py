"""A variational autoencoder's networks, and the terms of its evidence lower bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from simssl.blocks.losses.gaussian import kl_standard, reparameterize
from simssl.blocks.precision import at_least_float32

Nll = Callable[[Tensor, Tensor], Tensor]
"""-log p(x | z) of images and logits, each (B, C, H, W), in nats, averaged over the images: `likelihood.nll`."""


@dataclass(frozen=True)
class Sample:
    """q(z | x) of B images, one reparameterised sample of it, and what it gives back of them."""

    mean_BD: Tensor
    log_variance_BD: Tensor
    z_BD: Tensor
    reconstruction: Tensor
    """-E_q log p(x | z) by the sample, in nats an image, averaged over the images: a 0-d tensor."""

    @property
    def kl(self) -> Tensor:
        """KL(q(z | x) || N(0, I)), averaged over the images: a 0-d tensor."""
        return kl_standard(self.mean_BD, self.log_variance_BD).mean()


class GaussianAutoencoder(nn.Module):
    """An encoder that returns mean and log variance of q(z | x), and its mirror, the decoder of p(x | z).

    `encoder(outputs)` and `decoder(inputs)` build the networks, as `Context.encoder` and `.decoder` do.
    """

    def __init__(
        self,
        encoder: Callable[[int], nn.Module],
        decoder: Callable[[int], nn.Module],
        latent_dim: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder(2 * latent_dim)
        self.decoder = decoder(latent_dim)

    def infer(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), each (B, D), in float32.

        The variance is exp(w) of the network's output w where that is negative, 1 + w above: its KL from the standard
        normal then grows no faster than w / 2. With exp alone, one outlying image among the first steps of a deep
        network (w = 20) has a KL of 10^8 nats, and that one gradient slows Adam for the next thousand steps.
        """
        mean_BD, w_BD = at_least_float32(self.encoder(x_BCHW)).chunk(2, dim=1)
        log_variance_BD: Tensor = _LogVariance.apply(w_BD)
        return mean_BD, log_variance_BD

    def decode(self, z_BD: Tensor) -> Tensor:
        """Logits (B, C, H, W), in float32."""
        logits_BCHW: Tensor = at_least_float32(self.decoder(z_BD))
        return logits_BCHW

    def sample(self, x_BCHW: Tensor, nll: Nll, generator: torch.Generator) -> Sample:
        """The sample that every evidence lower bound begins with: infer q(z | x), draw z, decode it."""
        mean_BD, log_variance_BD = self.infer(x_BCHW)
        z_BD = reparameterize(mean_BD, log_variance_BD, generator)
        reconstruction = nll(x_BCHW, self.decode(z_BD))
        return Sample(mean_BD, log_variance_BD, z_BD, reconstruction)


class _LogVariance(torch.autograd.Function):
    """w where it is negative, log(1 + w) above: `infer` says why. The gradient is 1 / (1 + relu(w))."""

    @staticmethod
    def forward(ctx: Any, w_BD: Tensor) -> Tensor:
        ctx.save_for_backward(w_BD)
        above_BD = w_BD.relu()
        below_BD = w_BD - above_BD
        return below_BD.add_(above_BD.log1p())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (w_BD,) = ctx.saved_tensors
        return gradients[0] / (1 + w_BD.relu())

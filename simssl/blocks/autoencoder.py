"""A variational autoencoder's networks: q(z | x) = N(mu(x), diag v(x)) and the decoder of p(x | z)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class GaussianAutoencoder(nn.Module):
    """An encoder that returns mean and log variance, and its mirror.

    `encoder(outputs)` and `decoder(inputs)` build the networks, as `Context.encoder` and `.decoder` do.
    """

    def __init__(
        self, encoder: Callable[[int], nn.Module], decoder: Callable[[int], nn.Module], latent_dim: int
    ) -> None:
        super().__init__()
        self.encoder = encoder(2 * latent_dim)
        self.decoder = decoder(latent_dim)

    def infer(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), each (B, D), in float32."""
        mean_BD, log_variance_BD = self.encoder(x_BCHW).float().chunk(2, dim=1)
        return mean_BD, log_variance_BD

    def decode(self, z_BD: Tensor) -> Tensor:
        """Logits (B, C, H, W), in float32."""
        logits_BCHW: Tensor = self.decoder(z_BD).float()
        return logits_BCHW

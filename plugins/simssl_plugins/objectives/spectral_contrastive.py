"""Spectral contrastive learning (HaoChen et al. 2021): factorise the graph of which views may be of one image.

    L = 1/mu { -2 E[z.z'] + E[(z.z~)^2] },

z and z' the projections of two views of an image, z~ that of a view of another one; projections longer than sqrt(mu)
are cut to that length. B counts images, J views of each. P is the width of the projection.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.distributed import gather
from simssl.blocks.losses import spectral_contrast
from simssl.blocks.networks import Widths, projection_head, require_two_images


class SpectralContrastive(ProjectionObjective):
    """Spectral contrastive learning: views of an image have a large product, those of different images one near 0.

    The representation is the encoder's output; the projection serves the loss alone, and evaluators can ask for
    it as layer `projection`. Both views pass the networks as one batch, and the head has no batch norm (theirs pass
    one by one, and it has).
    """

    class Params(simssl.Params):
        mu: float = Field(10.0, gt=0)
        """The largest square of a projection's length; it divides the loss, too. Source: the authors' code for ImageNet
        (1 for CIFAR-10, with a head that ends in batch norm)."""
        head: Widths = (256, 256)
        """Widths of the projection head behind the representation. Ours, for small ones; theirs is (2048, 1000) for
        CIFAR-10."""

    views = ("random", "random")
    permutation_invariant = True

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        require_two_images(context.images_per_step)
        self.head = projection_head((context.latent_dim, *params.head))

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        mu = self.params.mu
        z_BJP = shortened(self.project_views(x_BJCHW), mu**0.5)
        za_BP, zb_BP = z_BJP.unbind(1)
        attraction, repulsion = spectral_contrast(gather(za_BP), gather(zb_BP))
        return Terms(loss={"attraction": attraction / mu, "repulsion": repulsion / mu})


def shortened(z: Tensor, length: float) -> Tensor:
    """The rows (..., P), those longer than this at this length."""
    lengths = z.norm(dim=-1, keepdim=True)
    return z / (lengths / length).clamp(min=1)


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return SpectralContrastive

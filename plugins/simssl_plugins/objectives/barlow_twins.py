"""Barlow Twins (Zbontar et al. 2021, eq. 1): the correlations of two views' projections become the identity.

    L = sum_i (1 - C_ii)^2 + lambda sum_{i != j} C_ij^2,

C the correlations over the batch of the columns of one view with those of the other
(`simssl.blocks.losses.cross_correlation`). P is the width of the projection.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.distributed import gather
from simssl.blocks.losses import cross_correlation
from simssl.blocks.networks import Widths, projection_head, require_two_images


class BarlowTwins(ProjectionObjective):
    """Barlow Twins: each dimension is the same in both views of an image, and no two of them are correlated.

    The representation is the encoder's output; the projection serves the loss alone, and evaluators can ask for
    it as layer `projection`. The views pass the networks one by one, as in the authors' code.
    """

    class Params(simssl.Params):
        lambda_: float = Field(0.0051, ge=0)
        "Weight of the correlations between different dimensions. Source: the authors' code (0.005 in the paper)."
        scale: float = Field(1.0, gt=0)
        "Multiplies the loss. Source: Zbontar et al. 2021, who have none; solo-learn's recipes have 0.1."
        head: Widths = Field((512, 512), min_length=1)
        """Widths of the projection head behind the representation, batch norm between them. Ours, for small ones;
        theirs is 8192 three times."""

    views = ("random", "random")
    permutation_invariant = True

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        require_two_images(context.images_per_step)
        head = projection_head((context.latent_dim, *params.head), batch_norm=True)
        head[-1].register_parameter("bias", None)  # correlations do not depend on it; theirs has none
        self.head = head

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        xa_BCHW, xb_BCHW = x_BJCHW.unbind(1)
        za_BP = gather(self.project(xa_BCHW))
        zb_BP = gather(self.project(xb_BCHW))
        invariance, redundancy = deviations_from_identity(cross_correlation(za_BP, zb_BP))
        scale = self.params.scale
        return Terms(
            loss={
                "invariance": scale * invariance,
                "redundancy": scale * self.params.lambda_ * redundancy,
            }
        )


def deviations_from_identity(C_PP: Tensor) -> tuple[Tensor, Tensor]:
    """sum_i (1 - C_ii)^2 and sum_{i != j} C_ij^2, 0-d tensors. Source: Zbontar et al. 2021, eq. 1."""
    diagonal_PP = torch.eye(len(C_PP), dtype=torch.bool, device=C_PP.device)
    on_diagonal = (1 - C_PP.diagonal()).square().sum()
    off_diagonal = C_PP.masked_fill(diagonal_PP, 0).square().sum()
    return on_diagonal, off_diagonal


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return BarlowTwins

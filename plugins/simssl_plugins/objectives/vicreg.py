"""VICReg (Bardes et al. 2022): views agree, every dimension varies, no two are correlated.

Minimise 25 mse(z, z') + 25/2 [v(z) + v(z')] + c(z) + c(z'), with v(z) = mean_d relu(1 - sqrt(var_d + 1e-4)) and
c(z) the sum of squared covariances of different dimensions over their number (`simssl.blocks.losses.redundancy`). The
authors' code halves the variance term, the paper's eq. 6 does not; this is the code's.
B counts images, J views of each. P is the width of the projection.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.distributed import gather
from simssl.blocks.losses import covariance_penalty, variance_hinge
from simssl.blocks.networks import Widths, projection_head, require_two_images


class VicReg(ProjectionObjective):
    """VICReg: two views of an image meet, and the batch is kept from collapsing by its variances and covariances.

    The representation is the encoder's output; the projection serves the loss alone, and evaluators can ask for
    it as layer `projection`. Both views pass the networks as one batch (theirs pass one by one).
    """

    class Params(simssl.Params):
        invariance: float = Field(25.0, ge=0)
        "Weight of the mean squared distance between the views. Source: Bardes et al. 2022, section 4.2."
        variance: float = Field(25.0, ge=0)
        "Weight of the hinge on the deviations, the mean of the two views'. Source: their section 4.2, and their code."
        covariance: float = Field(1.0, ge=0)
        "Weight of the squared covariances, the sum of the two views'. Source: Bardes et al. 2022, section 4.2."
        head: Widths = (256, 256)
        "Widths of the projection head behind the representation. Ours, for small ones; theirs is 8192 three times."
        batch_norm: bool = simssl.added(False)
        "Batch norm between the layers of the head. Source: the authors' code, which has it."

    views = ("random", "random")
    permutation_invariant = True

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        require_two_images(context.images_per_step)
        self.head = projection_head((context.latent_dim, *params.head), params.batch_norm)

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        za_BP, zb_BP = self.project_views(x_BJCHW).unbind(1)
        za_BP = gather(za_BP)
        zb_BP = gather(zb_BP)
        distance = F.mse_loss(za_BP, zb_BP)
        hinges = variance_hinge(za_BP) + variance_hinge(zb_BP)
        penalties = covariance_penalty(za_BP) + covariance_penalty(zb_BP)
        return Terms(
            loss={
                "invariance": self.params.invariance * distance,
                "variance": self.params.variance * 0.5 * hinges,
                "covariance": self.params.covariance * penalties,
            }
        )


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return VicReg

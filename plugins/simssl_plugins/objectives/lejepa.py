"""LeJEPA (Balestriero & LeCun 2025): the views of an image meet at their mean, and each view's projections are N(0, I).

    L = (1 - lambda) mean_j |p_j - mean_j p|^2 / P + lambda mean_j SIGReg(p_j),

SIGReg the distance of the batch from N(0, I), along directions drawn anew in each step (`simssl.blocks.losses.sigreg`).
The mean in the first term is that of the large views; all views, small ones too, are drawn to it.

B counts images, J views of each, V of them with the small ones. P is the width of the projection.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.distributed import gather
from simssl.blocks.losses import random_directions, sigreg
from simssl.blocks.networks import Widths, projection_head, require_two_images


class LeJepa(ProjectionObjective):
    """LeJEPA: the views of an image meet, and the batch is kept Gaussian; no teacher, no stopped gradient.

    The representation is the encoder's output; the projection serves the loss alone, and evaluators can ask for
    it as layer `projection`. Views of one size pass the encoder as one batch.
    """

    class Params(simssl.Params):
        J: int = Field(2, ge=1)
        "Large views of each image. Ours; Balestriero & LeCun 2025 have small crops beside large ones."
        small_views: int = Field(0, ge=0)
        "Small views of each image, drawn as `views.small` says."
        lambda_: float = Field(0.05, ge=0, le=1)
        "Weight of SIGReg; the distance between the views has 1 - lambda_. Source: Balestriero & LeCun 2025."
        directions: int = Field(1024, ge=1)
        "Directions that are drawn in each step. Source: Balestriero & LeCun 2025."
        head: Widths = Field((256, 64), min_length=1)
        """Widths of the projection head behind the representation, batch norm between them. Ours, for small ones; the
        authors' minimal example has (2048, 2048, 16)."""

    permutation_invariant = True

    @classmethod
    def views_for(cls, params: Params) -> tuple[str, ...]:
        return (*["random"] * params.J, *["small"] * params.small_views)

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        require_two_images(context.images_per_step)
        self.head = projection_head((context.latent_dim, *params.head), batch_norm=True)

    def forward(self, views: Tensor | tuple[Tensor, ...], index_B: Tensor, generator: torch.Generator) -> Terms:
        z_BVP = self.project_views(views)
        z_VBP = [gather(z_BP) for z_BP in z_BVP.unbind(1)]
        directions_PM = random_directions(z_VBP[0], self.params.directions, generator)
        distances_V = [sigreg(z_BP, directions_PM) for z_BP in z_VBP]
        lambda_ = self.params.lambda_
        return Terms(
            loss={
                "invariance": (1 - lambda_) * distance_from_mean(z_VBP, self.params.J),
                "sigreg": lambda_ * torch.stack(distances_V).mean(),
            }
        )


def distance_from_mean(z_VBP: list[Tensor], J: int) -> Tensor:
    """The mean square of the views' deviations from the mean of the first J, over views, images and dimensions: 0-d."""
    stacked_VBP = torch.stack(z_VBP)
    mean_BP = stacked_VBP[:J].mean(0)
    return (stacked_VBP - mean_BP).square().mean()


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return LeJepa

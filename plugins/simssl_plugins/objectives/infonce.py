"""InfoNCE (van den Oord et al. 2018, eq. 4): a view finds the other view of its image among those of the batch.

    L = -1/(2B) sum_i log [exp(s_ii / T) / sum_k exp(s_ik / T)] + log [exp(s_ii / T) / sum_k exp(s_ki / T)],

s_ik the dot product or the cosine of image i's first projection and image k's second (`simssl.blocks.losses.info_nce`).
B counts images, J views of each. P is the width of the projection.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.distributed import gather
from simssl.blocks.losses import Similarity, info_nce
from simssl.blocks.networks import Widths, projection_head, require_two_images


class InfoNce(ProjectionObjective):
    """InfoNCE: a view finds the other view of its image among one view of every image of the batch, both ways.

    The representation is the encoder's output; the projection serves the loss alone, and evaluators can ask for
    it as layer `projection`.
    """

    class Params(simssl.Params):
        similarity: Similarity = "dot"
        "Similarity of two projections: dot product, or cosine. Source: the paper, section 4.3, has the dot product."
        temperature: float = Field(1.0, gt=0)
        "Divides the similarities. Source: the paper, section 4.3: 1 for the dot product; cosines need less."
        head: Widths = (128, 64)
        "Widths of the projection head behind the representation; none if []. Ours, as SimCLR's here."

    views = ("random", "random")
    permutation_invariant = True

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        require_two_images(context.images_per_step)
        self.head = projection_head((context.latent_dim, *params.head))

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        za_BP, zb_BP = self.project_views(x_BJCHW).unbind(1)
        loss = info_nce(gather(za_BP), gather(zb_BP), self.params.similarity, self.params.temperature)
        return Terms(loss={"info_nce": loss})


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return InfoNce

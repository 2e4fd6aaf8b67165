"""SimCLR (Chen et al. 2020, eq. 1): NT-Xent between two views of each image, behind a projection head.

    L = -1/(2B) sum_i log [exp(s_ip / T) / sum_{k != i} exp(s_ik / T)],

over the 2B views, s_ik the cosine of two projections, p the other view of i's image (`simssl.blocks.losses.nt_xent`).
B counts images, J views of each. P is the width of the projection.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.distributed import gather
from simssl.blocks.losses import nt_xent
from simssl.blocks.networks import Widths, projection_head, require_two_images


class SimClr(ProjectionObjective):
    """SimCLR: two views of an image attract each other and repel all other views of the batch.

    The representation is the encoder's output; the projection serves the loss alone, and evaluators can ask for
    it as layer `projection`.
    """

    class Params(simssl.Params):
        temperature: float = Field(0.5, gt=0)
        "Divides the cosine similarities. Source: Chen et al. 2020, appendix B.9, for CIFAR-10."
        head: Widths = (128, 64)
        "Widths of the projection head. Ours: one hidden layer, as theirs, for representations of 10 to 64 dimensions."
        batch_norm: bool = simssl.added(False)
        "Batch norm behind each layer of the head, behind the last without scale and shift. Source: the authors' code."

    views = ("random", "random")
    permutation_invariant = True

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        require_two_images(context.images_per_step)
        self.head = projection_head(
            (context.latent_dim, *params.head), params.batch_norm, output_norm=params.batch_norm
        )

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        za_BP, zb_BP = self.project_views(x_BJCHW).unbind(1)
        loss = nt_xent(gather(za_BP), gather(zb_BP), self.params.temperature)
        return Terms(loss={"nt_xent": loss})


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return SimClr

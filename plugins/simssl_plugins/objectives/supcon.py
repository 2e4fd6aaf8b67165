"""SupCon (Khosla et al. 2020, eq. 2): a contrastive loss that is told which images belong together.

    L = -1/M sum_i 1/|P(i)| sum_{p in P(i)} log [exp(s_ip / T) / sum_{k != i} exp(s_ik / T)],

over M views, s_ik the cosine of two projections, P(i) the other views of i's group (`simssl.blocks.losses.sup_con`).
M counts the views of a batch: B images, J views each. P is the width of the projection.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.distributed import gather
from simssl.blocks.losses import sup_con
from simssl.blocks.networks import Widths, projection_head, require_two_images


class SupCon(ProjectionObjective):
    """SupCon: all views of a group attract each other and repel the views of all other groups.

    The groups are those of `positives.share`. So no image repels another of its group, as it does in SimCLR: it is the
    upper bar for contrastive methods whose positives come from the data. Without `positives` each image is a group, and
    with J = 2 it is SimCLR. The representation is the encoder's output; evaluators can ask for layer `projection`.
    """

    class Params(simssl.Params):
        J: int = Field(2, ge=2)
        "Views of each image. Source: Khosla et al. 2020."
        temperature: float = Field(0.1, gt=0)
        "Divides the cosine similarities. Source: Khosla et al. 2020, for ImageNet."
        head: Widths = (128, 64)
        "Widths of the projection head. Ours: as SimCLR's here."

    uses_groups = True
    permutation_invariant = True

    @classmethod
    def views_for(cls, params: Params) -> tuple[str, ...]:
        return ("random",) * params.J

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        require_two_images(context.images_per_step)
        self.head = projection_head((context.latent_dim, *params.head))

    def forward(
        self,
        x_BJCHW: Tensor,
        index_B: Tensor,
        generator: torch.Generator,
        group_B: Tensor | None = None,
    ) -> Terms:
        if group_B is None:
            group_B = index_B
        z_MP = self.project(x_BJCHW.flatten(0, 1))
        group_M = group_B.repeat_interleave(self.params.J)
        loss = sup_con(gather(z_MP), gather(group_M), self.params.temperature)
        return Terms(loss={"sup_con": loss})


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return SupCon

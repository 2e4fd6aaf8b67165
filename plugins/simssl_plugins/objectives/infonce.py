"""InfoNCE (van den Oord et al. 2018) between two views of each image, by dot product or cosine similarity."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, EncoderObjective, Objective, Terms
from simssl.blocks.distributed import gather
from simssl.blocks.losses.contrast import info_nce
from simssl.blocks.networks.heads import mlp, require_two_images


class InfoNce(EncoderObjective):
    """InfoNCE: a view finds the other view of its image among one view of every image of the batch, both ways.

    The representation is the encoder's output; the projection serves the loss alone, and evaluators can ask for
    it as layer `projection`.
    """

    class Params(simssl.Params):
        similarity: Literal["dot", "cosine"] = "dot"
        "Of two projections: dot product, or cosine. Source: the paper, section 4.3, has the dot product."
        temperature: float = Field(1.0, gt=0)
        "Divides the similarities. Source: the paper, section 4.3: 1 for the dot product; cosines need less."
        head: tuple[Annotated[int, Field(ge=1)], ...] = (128, 64)
        "Widths of the projection head behind the representation; none if []. Ours, as SimCLR's here."

    views = ("random", "random")
    permutation_invariant = True

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        require_two_images(context.images_per_step)
        self.head = mlp((context.latent_dim, *params.head))

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        z_MP = self.head(self.encoder(x_BJCHW.flatten(0, 1))).float()
        za_BP, zb_BP = (gather(z_BP) for z_BP in z_MP.unflatten(0, x_BJCHW.shape[:2]).unbind(1))
        return Terms(loss={"info_nce": info_nce(za_BP, zb_BP, self.params.similarity, self.params.temperature)})

    def layers(self, x_BCHW: Tensor) -> dict[str, Tensor]:
        return {"projection": self.head(self.encoder(x_BCHW)).float()}


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return InfoNce

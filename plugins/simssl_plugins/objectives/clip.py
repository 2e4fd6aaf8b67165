"""CLIP (Radford et al. 2021, figure 3): symmetric InfoNCE between an image and its caption, with a learned scale.

    L = -1/(2B) sum_i log [exp(t s_ii) / sum_k exp(t s_ik)] + log [exp(t s_ii) / sum_k exp(t s_ki)],

s_ik the cosine of image i's projection and caption k's, t = exp(log_scale) learned, at most 100. P is the width of the
projections.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.distributed import gather
from simssl.blocks.losses import info_nce
from simssl.blocks.networks import require_two_images
from simssl.blocks.precision import at_least_float32

LOG_100 = math.log(100)


class Clip(ProjectionObjective):
    """CLIP: an image and its own caption attract each other, and repel all other captions and images of the batch.

    It sees one random view of each image. The representation is the image encoder's output, before its linear
    projection, which evaluators can ask for as layer `projection`. Captions of other images count as wrong even where
    they say the same, as in the paper.
    """

    class Params(simssl.Params):
        modality: str = Field("caption", min_length=1)
        "The modality that is compared with the images."
        projection: int = Field(64, ge=1)
        "Width of the space that image and caption are compared in. Ours, for small networks; theirs is 512."
        temperature: float = Field(0.07, ge=0.01)
        "The temperature 1 / t at the beginning. It is learned, and stays above 0.01. Source: their section 2.4."

    views = ("random",)
    permutation_invariant = True
    joint_layer = "projection"

    @classmethod
    def modalities_for(cls, params: Params) -> tuple[str, ...]:
        return (params.modality,)

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        require_two_images(context.images_per_step)
        self.head = nn.Linear(context.latent_dim, params.projection, bias=False)
        self.modality_encoder = context.modalities[params.modality].encoder(params.projection)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(params.temperature)))

    def forward(
        self,
        x_BJCHW: Tensor,
        index_B: Tensor,
        generator: torch.Generator,
        modalities_B: dict[str, Tensor],
    ) -> Terms:
        image_BP = self.project(x_BJCHW[:, 0])
        caption_BP = self.encode_modality(self.params.modality, modalities_B[self.params.modality])
        temperature = (-self.log_scale).exp()
        loss = info_nce(gather(image_BP), gather(caption_BP), "cosine", temperature)
        return Terms(loss={"info_nce": loss}, monitor={"temperature": temperature.detach()})

    @torch.no_grad()
    def after_step(self, progress: Tensor) -> None:
        self.log_scale.clamp_(max=LOG_100)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The scale is not decayed."""
        others = [parameter for parameter in self.parameters() if parameter is not self.log_scale]
        return [{"params": others}, {"params": [self.log_scale], "weight_decay": 0.0}]

    def encode_modality(self, name: str, values_B: Tensor) -> Tensor:
        """The projection (B, P) of captions."""
        return at_least_float32(self.modality_encoder(values_B))


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return Clip

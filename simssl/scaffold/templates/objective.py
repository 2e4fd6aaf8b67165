import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Objective, Posterior, Terms
from simssl.blocks.distributed import gather


class Alignment(Objective):
    """Pull two views of an image together and spread the images out (Wang & Isola 2020, eq. 6 and 7)."""

    class Params(simssl.Params):
        weight: float = Field(1.0, ge=0)
        "Of the uniformity term. Source: Wang & Isola 2020, table 1."

    views = ("random", "random")

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        self.encoder = context.encoder(context.latent_dim)

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        z = torch.nn.functional.normalize(self.encoder(x_BJCHW.flatten(0, 1)).float(), dim=1)
        z_BJD = z.unflatten(0, x_BJCHW.shape[:2])
        alignment = (z_BJD[:, 0] - z_BJD[:, 1]).square().sum(1).mean()
        all_BD = gather(z_BJD[:, 0])  # on several processes the images of all of them
        uniformity = torch.pdist(all_BD).square().mul(-2).exp().mean().log()
        return Terms(loss={"alignment": alignment, "uniformity": self.params.weight * uniformity})

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        return Posterior(self.encoder(x_BCHW).float())


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return Alignment

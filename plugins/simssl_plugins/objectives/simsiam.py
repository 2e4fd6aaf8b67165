"""SimSiam (Chen & He 2021, eq. 1 to 4): predict the projection of one view from the other, without a teacher.

    L = -1/2 [cos(h(p1), sg(p2)) + cos(h(p2), sg(p1))],

p1, p2 the projections of the two views, h the predictor, and sg no gradient. P is the width of the projection.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.distributed import gather
from simssl.blocks.networks import Widths, projection_head, require_two_images
from simssl.blocks.precision import at_least_float32


class SimSiam(ProjectionObjective):
    """SimSiam: each view predicts the other one, whose gradient is stopped; nothing is repelled.

    The head ends in batch norm without scale and shift, as in the authors' code. The predictor's learning rate falls as
    the others' do; theirs stays. The representation is the encoder's output; the projection serves the loss alone, and
    evaluators can ask for it as layer `projection`. The monitor `spread` is 0 if the projections have collapsed to one
    direction, and near 1 if they point everywhere.
    """

    class Params(simssl.Params):
        head: Widths = Field((512, 512, 512), min_length=1)
        """Widths of the projector behind the representation, batch norm behind each. Ours, for small ones; theirs is
        2048 three times."""
        predictor: Widths = (128,)
        """Widths of the predictor's hidden layers, with batch norm. Source: a quarter of the projector's, as theirs
        (512 of 2048)."""

    views = ("random", "random")
    permutation_invariant = True

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        require_two_images(context.images_per_step)
        self.head = projection_head((context.latent_dim, *params.head), batch_norm=True, output_norm=True)
        width = params.head[-1]
        self.predictor = projection_head((width, *params.predictor, width), batch_norm=True)

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        xa_BCHW, xb_BCHW = x_BJCHW.unbind(1)
        za_BP = self.project(xa_BCHW)
        zb_BP = self.project(xb_BCHW)
        a_to_b = negative_cosine(at_least_float32(self.predictor(za_BP)), zb_BP)
        b_to_a = negative_cosine(at_least_float32(self.predictor(zb_BP)), za_BP)
        return Terms(loss={"prediction": (a_to_b + b_to_a) / 2}, monitor={"spread": spread(gather(za_BP))})


def negative_cosine(prediction_BP: Tensor, target_BP: Tensor) -> Tensor:
    """-cos(prediction, target), the target held fixed, the mean over B: 0-d, -1 to 1. Source: their eq. 1 and 3."""
    return -F.cosine_similarity(prediction_BP, target_BP.detach(), dim=1).mean()


@torch.no_grad()
def spread(z_BP: Tensor) -> Tensor:
    """sqrt(P) times the mean deviation of z / |z| over the batch: 0 (collapsed) to 1. Source: section 4.1, figure 2."""
    unit_BP = F.normalize(z_BP, dim=1)
    P = z_BP.shape[1]
    return unit_BP.std(0).mean() * P**0.5


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return SimSiam

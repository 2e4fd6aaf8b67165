"""BYOL (Grill et al. 2020, eq. 2): predict the moving-average projection of one view from the other view.

    L = || p / |p| - z / |z| ||^2 = 2 - 2 cos(p, z),

p the student's prediction from one view, z the teacher's projection of the other; the mean over both directions.
P is the width of both.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.networks import Teacher, Widths, cosine_momentum, projection_head, require_two_images
from simssl.blocks.precision import at_least_float32


class Byol(ProjectionObjective):
    """BYOL: a student predicts what a slowly following teacher makes of another view; nothing is repelled.

    The representation is the output of the student's encoder; the projection serves the loss alone, and
    evaluators can ask for it as layer `projection`.
    """

    class Params(simssl.Params):
        head: Widths = Field((4096, 256), min_length=1)
        "Widths of the projector behind the representation, batch norm between them. Source: Grill et al. 2020."
        predictor: Widths = (4096,)
        "Widths of the predictor's hidden layers, with batch norm. Source: Grill et al. 2020."
        momentum: float = Field(0.996, ge=0, le=1)
        "Momentum of the teacher's moving average at first; from there it rises by a cosine. Source: Grill et al. 2020."
        final_momentum: float = simssl.added(1.0, ge=0, le=1)
        "Momentum of that average at the end. Source: Grill et al. 2020; lightly's recipes stay at 0.99."

    views = ("random", "random")
    permutation_invariant = True

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        require_two_images(context.images_per_step)
        self.head = projection_head((context.latent_dim, *params.head), batch_norm=True)
        width = params.head[-1]
        self.predictor = projection_head((width, *params.predictor, width), batch_norm=True)
        self.teacher = Teacher(torch.nn.Sequential(self.encoder, self.head))

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        xa_BCHW, xb_BCHW = x_BJCHW.unbind(1)
        error_a = self._error(xa_BCHW, xb_BCHW)
        error_b = self._error(xb_BCHW, xa_BCHW)
        return Terms(loss={"prediction": (error_a + error_b) / 2})

    def _error(self, x_BCHW: Tensor, other_BCHW: Tensor) -> Tensor:
        """The error of the student's predictions from one view of the teacher's projections of the other, 0-d."""
        prediction_BP = at_least_float32(self.predictor(self.head(self.encoder(x_BCHW))))
        target_BP = at_least_float32(self.teacher(other_BCHW))
        return prediction_error(prediction_BP, target_BP)

    def after_step(self, progress: Tensor) -> None:
        self.teacher.update(cosine_momentum(self.params.momentum, progress, self.params.final_momentum))


def prediction_error(prediction_BP: Tensor, target_BP: Tensor) -> Tensor:
    """The mean over B of 2 - 2 cos(prediction, target), a 0-d tensor from 0 (the same direction) to 4 (opposite)."""
    cosine_B = F.cosine_similarity(prediction_BP, target_BP, dim=1)
    return (2 - 2 * cosine_B).mean()


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return Byol

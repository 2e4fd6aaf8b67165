"""SwAV (Caron et al. 2020, eq. 1 to 6): predict the code of one view from the other, all codes used equally.

    L = -sum_k q_k log softmax(s / T)_k,

s the cosines of one view's projection with K prototypes, q the code of the other view: its share of each prototype,
such that the batch uses all of them equally (`simssl.blocks.losses.sinkhorn`); the mean over both directions. Small
views have no codes, and predict those of both large ones.

B counts images, J views of each, V of them with the small ones. P is the width of the projection.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.distributed import gather, own_rows
from simssl.blocks.losses import similarities, sinkhorn, swapped_cross_entropy
from simssl.blocks.networks import Widths, projection_head, require_two_images


class SwAV(ProjectionObjective):
    """SwAV: the views of an image are of the same clusters, and the clusters are of equal size in each batch.

    Codes are those of the batch; theirs for small batches remember earlier ones, too. Views of one size pass the
    encoder as one batch. The representation is the encoder's output; the projection serves the loss alone, and
    evaluators can ask for it as layer `projection`.
    """

    class Params(simssl.Params):
        K: int = Field(256, ge=2)
        "Prototypes. Ours, for small data; Caron et al. 2020 have 3000 on ImageNet."
        head: Widths = Field((256, 64), min_length=1)
        """Widths of the projection head behind the representation, batch norm between them. Ours, for small ones;
        theirs is (2048, 128)."""
        temperature: float = Field(0.1, gt=0)
        "Divides the cosines of the predictions. Source: Caron et al. 2020, appendix A."
        epsilon: float = Field(0.05, gt=0)
        "Divides the cosines of the codes: the smaller, the harder they are. Source: the authors' code."
        iterations: int = Field(3, ge=1)
        "Iterations of Sinkhorn-Knopp for the codes. Source: Caron et al. 2020, section 3.1."
        frozen_epochs: int = Field(1, ge=0)
        """Passes over the images in which the prototypes do not learn yet. In a run of no more passes than that they
        learn from the first step. Source: Caron et al. 2020, appendix A."""
        small_views: int = Field(0, ge=0)
        "Small views of each image, drawn as `views.small` says. Ours; Caron et al. 2020 have 6 on ImageNet."

    permutation_invariant = True
    is_frozen: Tensor
    before_step: Tensor

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        require_two_images(context.images_per_step)
        self.head = projection_head((context.latent_dim, *params.head), batch_norm=True)
        prototypes_KP = torch.randn(params.K, params.head[-1])
        self.prototypes = nn.Parameter(F.normalize(prototypes_KP, dim=1))
        self.frozen_share = _frozen_share(params.frozen_epochs, context)
        self.register_buffer("is_frozen", torch.tensor(self.frozen_share > 0))
        self.register_buffer("before_step", self.prototypes.detach().clone(), persistent=False)

    @classmethod
    def views_for(cls, params: Params) -> tuple[str, ...]:
        return ("random", "random", *["small"] * params.small_views)

    def forward(self, views: Tensor | tuple[Tensor, ...], index_B: Tensor, generator: torch.Generator) -> Terms:
        self.before_step.copy_(self.prototypes.detach())
        scores_V = self._scores(self.project_views(views))
        codes_J = [self._codes(scores_BK) for scores_BK in scores_V[:2]]
        logits_V = [scores_BK / self.params.temperature for scores_BK in scores_V]
        return Terms(loss={"cross_entropy": swapped_cross_entropy(codes_J, logits_V)})

    def _scores(self, z_BVP: Tensor) -> list[Tensor]:
        """The cosines (B, K) of each view with the prototypes, which have no gradient while they are frozen."""
        prototypes_KP = torch.where(self.is_frozen, self.prototypes.detach(), self.prototypes)
        unit_BVP = F.normalize(z_BVP, dim=-1)
        return [similarities(z_BP, prototypes_KP, "dot") for z_BP in unit_BVP.unbind(1)]

    def _codes(self, scores_BK: Tensor) -> Tensor:
        """The codes (B, K) of a view, found in the batch of all processes."""
        codes_BK = sinkhorn(gather(scores_BK.detach()), self.params.epsilon, self.params.iterations)
        return own_rows(codes_BK)

    @torch.no_grad()
    def after_step(self, progress: Tensor) -> None:
        normalised_KP = F.normalize(self.prototypes, dim=1)
        after_KP = torch.where(self.is_frozen, self.before_step, normalised_KP)  # the optimiser's decay moves them, too
        self.prototypes.copy_(after_KP)
        self.is_frozen.copy_(progress < self.frozen_share)


def _frozen_share(epochs: int, context: Context) -> float:
    """The part of the training before which the prototypes stay as they are: after the last frozen step and before
    the next one, so that rounding does not matter. 0 if the run is no longer than that."""
    if not context.images_per_step:
        return 0.0
    frozen_steps = epochs * (context.num_images // context.images_per_step)
    if not 0 < frozen_steps < context.steps:
        return 0.0
    return (frozen_steps - 0.5) / context.steps


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return SwAV

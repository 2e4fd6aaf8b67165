"""DINO (Caron et al. 2021, algorithm 1), two views, and small ones if asked for: agree with a teacher on soft classes.

    L = -sum_k softmax((t - c) / T_t)_k log softmax(s / T_s)_k,

s the student's K logits of one view, t the teacher's of another, c the centre; the mean over all such pairs. The
teacher sees the two large views alone.

M counts views: B images, J views each, V of them with the small ones, S of which are small. P is the width of the head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.distributed import gather
from simssl.blocks.networks import Teacher, Widths, cosine_momentum, projection_head
from simssl.blocks.precision import at_least_float32


class Dino(ProjectionObjective):
    """DINO: the student's soft classes of one view match a slowly following teacher's, sharpened and centred.

    Head: the MLP of `head` (ReLU where theirs has GELU), its output divided by its length, and K prototypes of length
    1, which learn from the first step (theirs wait for an epoch). The representation is
    the output of the student's encoder, as for every method (the paper measures the teacher's); evaluators can ask
    for the teacher's as layer `teacher` and for the MLP's output as layer `projection`.
    """

    class Params(simssl.Params):
        K: int = Field(1024, ge=2)
        "Soft classes. Ours, for small data; Caron et al. 2021 have 65536 on ImageNet."
        head: Widths = (128, 64)
        "Widths of the head before the prototypes. Ours, as SimCLR's; Caron et al. 2021 have (2048, 2048, 256)."
        temperature: float = Field(0.1, gt=0)
        "Divides the student's logits. Source: Caron et al. 2021, section 3.2."
        teacher_temperature: float = Field(0.04, gt=0)
        "Divides the teacher's logits. Source: Caron et al. 2021, where its warm-up starts."
        momentum: float = Field(0.996, ge=0, le=1)
        "Momentum of the teacher's average at first; from there it rises by a cosine. Source: Caron et al. 2021, 3.1."
        final_momentum: float = simssl.added(1.0, ge=0, le=1)
        "Momentum of that average at the end. Source: Caron et al. 2021; lightly's recipes stay at 0.99."
        centre_momentum: float = Field(0.9, ge=0, le=1)
        "Momentum of the centre's moving average. Source: Caron et al. 2021, appendix D."
        small_views: int = simssl.added(0, ge=0)
        "Small views of each image, drawn as `views.small` says. Ours; the authors' code has 8 by default."

    permutation_invariant = True
    centre: Tensor
    batch_centre: Tensor

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        self.head = projection_head((context.latent_dim, *params.head))
        width = params.head[-1] if params.head else context.latent_dim
        self.prototypes = Prototypes(width, params.K)
        self.teacher = Teacher(nn.Sequential(self.encoder, self.head, self.prototypes))
        self.register_buffer("centre", torch.zeros(params.K))
        self.register_buffer("batch_centre", torch.zeros(params.K), persistent=False)

    @classmethod
    def views_for(cls, params: Params) -> tuple[str, ...]:
        return ("random", "random", *["small"] * params.small_views)

    def forward(self, views: Tensor | tuple[Tensor, ...], index_B: Tensor, generator: torch.Generator) -> Terms:
        x_BJCHW = views if isinstance(views, Tensor) else views[0]
        B, J = x_BJCHW.shape[:2]
        z_BVP = self.project_views(views)
        s_BVK = self.prototypes(z_BVP.flatten(0, 1)).unflatten(0, (B, -1))
        t_MK = self.teacher(x_BJCHW.flatten(0, 1))
        self.batch_centre = gather(t_MK.mean(0, keepdim=True)).mean(0)
        p_MK = ((t_MK - self.centre) / self.params.teacher_temperature).softmax(1)
        p_BJK = p_MK.unflatten(0, (B, J))
        agreement = self._agreement(p_BJK, s_BVK / self.params.temperature)
        return Terms(loss={"cross_entropy": agreement}, monitor={"teacher_entropy": entropy(p_BJK)})

    def _agreement(self, p_BJK: Tensor, logits_BVK: Tensor) -> Tensor:
        """The mean over all pairs of a large view, which the teacher sees, and another view, which the student sees."""
        S = self.params.small_views
        large_BJK = logits_BVK[:, :2]
        of_large = cross_entropy(p_BJK.flip(1), large_BJK)
        if not S:
            return of_large
        both_B1K = p_BJK.mean(1, keepdim=True)
        of_small = cross_entropy(both_B1K, logits_BVK[:, 2:])
        return (of_large + S * of_small) / (1 + S)

    def after_step(self, progress: Tensor) -> None:
        self.teacher.update(cosine_momentum(self.params.momentum, progress, self.params.final_momentum))
        self.centre.lerp_(self.batch_centre, 1 - self.params.centre_momentum)

    def layers(self, x_BCHW: Tensor) -> dict[str, Tensor]:
        teacher_encoder = self.teacher.network.get_submodule("0")
        return super().layers(x_BCHW) | {"teacher": at_least_float32(teacher_encoder(x_BCHW))}


class Prototypes(nn.Module):
    """The cosine similarity of each row with each of K prototypes: logits from -1 to 1, in float32."""

    def __init__(self, width: int, K: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(K, width) / width**0.5)

    def forward(self, z_BP: Tensor) -> Tensor:
        with torch.autocast(z_BP.device.type, enabled=False):
            rows_BP = F.normalize(at_least_float32(z_BP), dim=1)
            prototypes_KP = F.normalize(self.weight, dim=1)
            return rows_BP @ prototypes_KP.T


def cross_entropy(p: Tensor, logits: Tensor) -> Tensor:
    """The mean of -sum_k p_k log softmax(logits)_k over all but the last dimension, a 0-d tensor."""
    return -(p * logits.log_softmax(-1)).sum(-1).mean()


def entropy(p: Tensor) -> Tensor:
    """The mean entropy in nats: log K where the teacher cannot tell the classes apart, 0 where it is certain."""
    return torch.special.entr(p).sum(-1).mean()


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return Dino

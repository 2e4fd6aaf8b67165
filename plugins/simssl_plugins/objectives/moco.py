"""MoCo (He et al. 2020): each query finds its key, from a moving-average encoder, in front of a queue of older keys.

    L = -log [exp(q.k / T) / (exp(q.k / T) + sum_n exp(q.k_n / T))],

q the projection of one view, k the teacher's of the other, k_n the keys of the queue, all of length 1; the mean
over both directions (the authors' code for CIFAR-10 sums them).
M counts new keys, Q those of the queue. P is the width of the projection.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Context, Objective, ProjectionObjective, Terms
from simssl.blocks.distributed import gather, own_rows, world_size
from simssl.blocks.losses import contrast_with_negatives
from simssl.blocks.networks import Teacher, Widths, follow_batches, has_batch_norm, projection_head, split_batch_norm
from simssl.blocks.precision import at_least_float32


class MoCo(ProjectionObjective):
    """MoCo: the two views of an image attract each other and repel what a queue remembers of earlier batches.

    Batch norm would tell which views were encoded together, so its statistics are split in both encoders and the
    keys are permuted before theirs. The representation is the output of the query's encoder; the projection
    serves the loss alone, and evaluators can ask for it as layer `projection`.
    """

    class Params(simssl.Params):
        queue: int = Field(4096, ge=1)
        """Keys that are remembered; with fewer images than that, an image's own old keys are among its negatives.
        Source: He et al. 2020, the authors' code for CIFAR-10."""
        momentum: float = Field(0.99, ge=0, le=1)
        "Momentum of the key encoder's moving average. Source: He et al. 2020, the authors' code for CIFAR-10."
        temperature: float = Field(0.1, gt=0)
        "Divides the cosine similarities. Source: He et al. 2020, the authors' code for CIFAR-10."
        batch_norm_splits: int = Field(8, ge=1)
        """Equal parts of the batch over which the encoders' batch norm has statistics of its own, if the backbone has
        any. Source: He et al. 2020, the authors' code for CIFAR-10."""
        head: Widths = (128, 64)
        "Widths of the projection head behind the representation. Ours, as SimCLR's, for small representations."

    views = ("random", "random")
    queue: Tensor
    position: Tensor
    new_keys: Tensor

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        keys_per_step = 2 * context.images_per_step
        if params.queue < keys_per_step:
            raise ValueError(f"a queue of {params.queue} cannot hold the {keys_per_step} keys of a step")
        self.has_norm = has_batch_norm(self.encoder)
        self.splits = params.batch_norm_splits if self.has_norm else 1
        _require_equal_parts(context.images_per_step, self.splits)
        if self.splits > 1:
            self.encoder = split_batch_norm(self.encoder, 2 * self.splits, follows_later=True)
        self.head = projection_head((context.latent_dim, *params.head))
        self.teacher = Teacher(torch.nn.Sequential(self.encoder, self.head))
        width = params.head[-1] if params.head else context.latent_dim
        self.register_buffer("queue", F.normalize(torch.randn(params.queue, width), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))
        self.register_buffer("new_keys", torch.empty(0, width), persistent=False)

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        k_BJP = self._keys(x_BJCHW, generator)
        q_BJP = self._encoded(self._projected, x_BJCHW)
        other_k_BJP = k_BJP.flip(1)
        loss = contrast_with_negatives(
            q_BJP.flatten(0, 1), other_k_BJP.flatten(0, 1), self.queue, self.params.temperature
        )
        self.new_keys = gather(k_BJP).transpose(0, 1).flatten(0, 1)
        return Terms(loss={"info_nce": loss})

    def _keys(self, x_BJCHW: Tensor, generator: torch.Generator) -> Tensor:
        """The keys of the views (B, J, P), of length 1. The images of each view are permuted by themselves before."""
        if self.splits == 1:
            return self._encoded(self.teacher, x_BJCHW)
        B = len(x_BJCHW) * world_size()
        draw_JB = torch.stack([torch.rand(B, generator=generator, device=x_BJCHW.device) for _ in self.views])
        order_BJ = draw_JB.argsort().T
        permuted_BJCHW = own_rows(_taken(gather(x_BJCHW), order_BJ))
        permuted_BJP = self._encoded(self.teacher, permuted_BJCHW)
        return own_rows(_taken(gather(permuted_BJP), order_BJ.argsort(0)))

    def _projected(self, x_BCHW: Tensor) -> Tensor:
        projection_BP: Tensor = self.head(self.encoder(x_BCHW))
        return projection_BP

    def _encoded(self, network: Callable[[Tensor], Tensor], x_BJCHW: Tensor) -> Tensor:
        """The projections of the views (B, J, P), of length 1, in one pass.

        In the batch the views of an image follow one another. So each of the 2 `splits` parts of a batch norm, which
        are of indices that are the same modulo their number, has images of one view. Batch norm in one part has two
        passes.
        """
        if self.splits == 1 and self.has_norm:
            z_BJP = torch.stack([network(x_BCHW) for x_BCHW in x_BJCHW.unbind(1)], dim=1)
        else:
            z_BJP = network(x_BJCHW.flatten(0, 1)).unflatten(0, x_BJCHW.shape[:2])
        return F.normalize(at_least_float32(z_BJP), dim=-1)

    def after_step(self, progress: Tensor) -> None:
        follow_batches(self.encoder)
        self.teacher.update(self.params.momentum)
        M = len(self.new_keys)
        Q = len(self.queue)
        rows_M = (self.position + torch.arange(M, device=self.queue.device)) % Q
        self.queue.index_copy_(0, rows_M, self.new_keys)
        self.position.add_(M).remainder_(Q)


def _taken(x_BJ: Tensor, rows_BJ: Tensor) -> Tensor:
    """The rows of each view that are named for it: of view j and for place b, that of image rows_BJ[b, j]."""
    J = rows_BJ.shape[1]
    views_J = torch.arange(J, device=x_BJ.device)
    return x_BJ[rows_BJ, views_J]


def _require_equal_parts(images: int, splits: int) -> None:
    """Raise ValueError if a step's images do not split into parts whose statistics batch norm can take."""
    if not _are_equal_parts(images, splits):
        fitting = next(n for n in range(splits, 0, -1) if _are_equal_parts(images, n))
        raise ValueError(
            f"batch_norm_splits is {splits}, and the {images} images of a step do not split into {splits} equal parts "
            f"of two or more; change training.batch_views, or set 'batch_norm_splits: {fitting}'"
        )


def _are_equal_parts(images: int, splits: int) -> bool:
    """Return whether each part has the same number of images, two or more, or there is one part."""
    return splits == 1 or (images % splits == 0 and images >= 2 * splits)


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return MoCo

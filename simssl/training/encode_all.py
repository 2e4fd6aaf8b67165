"""The representations of many images without random views, each process its share of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from simssl.blocks.distributed import rank, sum_of_shares, together, world_size
from simssl.training.build import BuiltRun
from simssl.training.contract import frozen
from simssl.training.views.pipeline import equal_batches


def encode_all(built: BuiltRun, images_NCHW: Tensor) -> Tensor:
    """Return the representations (N, D) of these images on the device; on each process the same.

    An image is encoded in the same batch whatever the number of processes, and by one of them alone: batch norm that
    keeps no statistics takes those of that batch.
    """
    views = built.views
    shape = (len(images_NCHW), built.experiment.latent_dim)
    z_ND = torch.zeros(shape, dtype=_precision(built.objective), device=built.device)
    begin = 0
    with frozen(built.objective):
        for number, images_BCHW in enumerate(equal_batches(images_NCHW)):
            end = begin + len(images_BCHW)
            if number % world_size() == rank():
                x_BCHW = views.plain(images_BCHW.to(built.device))
                with together(None):
                    z_ND[begin:end] = built.objective.posterior(x_BCHW).mean
            begin = end
    return sum_of_shares(z_ND)


def _precision(objective: nn.Module) -> torch.dtype:
    """The type of the weights' numbers."""
    for weight in (*objective.parameters(), *objective.buffers()):
        if weight.dtype.is_floating_point:
            return weight.dtype
    return torch.float32

"""Batch norm over the batch of all processes that train a run together.

torch's SyncBatchNorm takes tensors on CUDA alone. B counts the rows of one process, S the parts of the whole batch that
are normalised by themselves (1 but for `SplitBatchNorm`), R the processes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from simssl.blocks.distributed import gather, rank, world_size
from simssl.blocks.internals import BatchNorm
from simssl.blocks.networks.batch_norm import SplitBatchNorm
from simssl.blocks.precision import at_least_float32


class SyncedBatchNorm(BatchNorm):
    """Batch norm of (B, C, ...) that in training normalises by the mean and the variance of all processes' rows.

    On one process it is as batch norm is. A part is the images whose indices in the whole batch are the same modulo
    `splits`.
    """

    splits = 1

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"batch norm takes (N, C, ...), not {input.ndim} dimensions")

    def forward(self, input: Tensor) -> Tensor:
        by_batch = self.training or self.running_mean is None
        if not by_batch:
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            return self._normalise(at_least_float32(input)).to(input.dtype)

    def _normalise(self, x_BC: Tensor) -> Tensor:
        self._require_two_values(x_BC)
        part_BS = self._parts(x_BC)
        mean_SC, variance_SC, count_S = self._moments(x_BC, part_BS)
        if self.training and self.running_mean is not None:
            self._follow(mean_SC.detach(), variance_SC.detach(), count_S)
        scale_SC = (variance_SC + self.eps).rsqrt()
        if self.weight is not None:
            scale_SC = scale_SC * self.weight
        shift_SC = -mean_SC * scale_SC
        if self.bias is not None:
            shift_SC = shift_SC + self.bias
        scale_BC = _for_rows(scale_SC, part_BS, x_BC)
        shift_BC = _for_rows(shift_SC, part_BS, x_BC)
        return torch.addcmul(shift_BC, x_BC, scale_BC)

    def _require_two_values(self, x_BC: Tensor) -> None:
        """Raise ValueError, as torch does, if there is nothing to normalise by."""
        values = x_BC[:, 0].numel() * world_size()
        if values <= self.splits:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {x_BC.shape}")

    def _parts(self, x_BC: Tensor) -> Tensor:
        """Which part each row is in (B, S), as zeros and ones."""
        B = len(x_BC)
        number_B1 = torch.arange(rank() * B, (rank() + 1) * B, device=x_BC.device)[:, None] % self.splits
        part_S = torch.arange(self.splits, device=x_BC.device)
        return (number_B1 == part_S).to(x_BC.dtype)

    def _moments(self, x_BC: Tensor, part_BS: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The mean and the variance (S, C) of each part over all processes, and the number (S,) of its values.

        Those of each process are put together (Chan et al. 1983), in one exchange: nothing large is subtracted.
        """
        values = x_BC[0, 0].numel()
        x_BCV = x_BC.reshape(*x_BC.shape[:2], values)
        rows_S = part_BS.sum(0)
        own_mean_SC = part_BS.T @ x_BCV.mean(2) / rows_S.clamp(min=1)[:, None]
        away_BCV = x_BCV - (part_BS @ own_mean_SC)[..., None]
        own_squares_SC = part_BS.T @ away_BCV.square().sum(2)
        own_count_SC = (rows_S * values)[:, None].expand_as(own_mean_SC)

        own = torch.stack((own_mean_SC, own_squares_SC, own_count_SC))
        mean_RSC, squares_RSC, count_RSC = gather(own[None]).unbind(1)
        count_SC = count_RSC.sum(0)
        mean_SC = (count_RSC * mean_RSC).sum(0) / count_SC
        between_SC = (count_RSC * (mean_RSC - mean_SC).square()).sum(0)
        variance_SC = (squares_RSC.sum(0) + between_SC) / count_SC
        return mean_SC, variance_SC, count_SC[:, 0]

    @torch.no_grad()
    def _follow(self, mean_SC: Tensor, variance_SC: Tensor, count_S: Tensor) -> None:
        """Move the running statistics towards the mean over the parts, of the means and of the unbiased variances."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = 1 / self.num_batches_tracked.to(mean_SC.dtype) if self.momentum is None else self.momentum
        unbiased_SC = variance_SC * (count_S / (count_S - 1))[:, None]
        for running_C, now_C in ((self.running_mean, mean_SC.mean(0)), (self.running_var, unbiased_SC.mean(0))):
            running_C.add_(momentum * (now_C.to(running_C.dtype) - running_C))


class SyncedSplitBatchNorm(SyncedBatchNorm):
    """`SplitBatchNorm` over the batch of all processes."""

    def _parts(self, x_BC: Tensor) -> Tensor:
        whole = len(x_BC) * world_size()
        if whole % self.splits:
            raise ValueError(f"{whole} images do not split into {self.splits} equal parts")
        return super()._parts(x_BC)


def _for_rows(values_SC: Tensor, part_BS: Tensor, x_BC: Tensor) -> Tensor:
    """The values of each row's part, in a shape that goes with (B, C, ...)."""
    S, C = values_SC.shape
    values_BC = values_SC if S == 1 else part_BS @ values_SC
    return values_BC.reshape(len(values_BC), C, *[1] * (x_BC.ndim - 2))


_SYNCED = {
    nn.BatchNorm1d: SyncedBatchNorm,
    nn.BatchNorm2d: SyncedBatchNorm,
    nn.BatchNorm3d: SyncedBatchNorm,
    nn.SyncBatchNorm: SyncedBatchNorm,
    SplitBatchNorm: SyncedSplitBatchNorm,
}


def synchronise_batch_norm(module: nn.Module) -> None:
    """Make every batch norm in the module one over all processes, in place: parameters and buffers stay what they are.

    ValueError if it has batch norm of another kind.
    """
    for name, part in module.named_modules():
        if not isinstance(part, BatchNorm) or isinstance(part, SyncedBatchNorm):
            continue
        if type(part) not in _SYNCED:
            kind = type(part).__name__
            raise ValueError(f"'{name}' is batch norm of the kind {kind}, which several processes cannot share")
        part.__class__ = _SYNCED[type(part)]

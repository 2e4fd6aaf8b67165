"""Batch norm over parts of the batch, so that one device behaves as several do (as in MoCo's code for CIFAR-10).

S counts the parts. `SC` is one dimension: the C channels of each part, one part after the other.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from simssl.blocks.internals import BatchNorm, batch_norm_with_moments, move_towards


class _Batch(NamedTuple):
    """What the running statistics follow: the moments of the parts of one batch."""

    mean_SC: Tensor
    scale_SC: Tensor
    """1 / sqrt(variance + eps)."""
    values: int
    """The values of a channel in each part."""


class SplitBatchNorm(BatchNorm):
    """Batch norm of (N, C, ...) that in training normalises each of `splits` equal parts by itself.

    A part is the images whose indices in the batch are the same modulo `splits`, as in MoCo's code. With the channels
    first in memory nothing is copied; with the channels last the batch is copied before and after.

    The running statistics follow the mean over all parts, of their means and of their unbiased variances: at once, or,
    with `follows_later`, when `follow_batches` is called for the network.
    """

    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, splits: int, norm: BatchNorm, follows_later: bool = False) -> None:
        """Take over the settings, weights and running statistics of `norm`."""
        if norm.momentum is None or norm.running_mean is None:
            raise ValueError("a batch norm without a momentum or running statistics cannot be split")
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine)
        self.splits = splits
        self.follows_later = follows_later
        self.batch: _Batch | None = None
        """The last batch, until the running statistics have followed it."""
        self.to(norm.running_mean).train(norm.training)
        self.load_state_dict(norm.state_dict())

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"batch norm takes (N, C, ...), not {input.ndim} dimensions")

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        if len(input) % self.splits:
            raise ValueError(f"{len(input)} images do not split into {self.splits} equal parts")
        return self._normalise_parts(input)

    def _normalise_parts(self, x_NC: Tensor) -> Tensor:
        """Normalise the parts side by side, as channels of one batch: each has statistics of its own."""
        S = self.splits
        C = self.num_features
        values = x_NC[:, 0].numel() // S
        if values == 1:
            raise ValueError(f"a part with one value a channel cannot be normalised (input {tuple(x_NC.shape)})")
        parts = x_NC.reshape(len(x_NC) // S, S * C, *x_NC.shape[2:])
        weight_C = self.weight if self.affine else torch.ones_like(self.running_mean)
        bias_SC = self.bias.repeat(S) if self.affine else None
        y, mean_SC, scale_SC = batch_norm_with_moments(parts, weight_C.repeat(S), bias_SC, self.eps)
        self.num_batches_tracked.add_(1)
        if self.momentum > 0:
            self.batch = _Batch(mean_SC.view(S, C), scale_SC.view(S, C), values)
            if not self.follows_later:
                _follow([self])
        return _laid_out_as(x_NC, y.reshape(x_NC.shape))


def _laid_out_as(x: Tensor, y: Tensor) -> Tensor:
    """The tensor y with the channels last in memory if x has them there."""
    is_last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return y.contiguous(memory_format=torch.channels_last) if is_last else y


def follow_batches(module: nn.Module) -> None:
    """Let the running statistics of all split batch norms that follow later follow their last batch."""
    norms = [part for part in module.modules() if isinstance(part, SplitBatchNorm) and part.batch is not None]
    for splits in sorted({norm.splits for norm in norms}):
        _follow([norm for norm in norms if norm.splits == splits])


@torch.no_grad()
def _follow(norms: list[SplitBatchNorm]) -> None:
    """Move the running statistics of norms with as many parts, all together. X counts the channels of all norms."""
    batches = [norm.batch for norm in norms if norm.batch is not None]
    mean_X = torch.cat([batch.mean_SC for batch in batches], 1).mean(0)
    variance_X = torch.cat([batch.scale_SC for batch in batches], 1).pow(-2).mean(0)
    channels = [norm.num_features for norm in norms]
    means = mean_X.split(channels)
    variances = variance_X.split(channels)
    torch._foreach_sub_(variances, [norm.eps for norm in norms])
    torch._foreach_mul_(variances, [batch.values / (batch.values - 1) for batch in batches])
    running = [norm.running_mean for norm in norms] + [norm.running_var for norm in norms]
    move_towards(running, [*means, *variances], 2 * [norm.momentum for norm in norms])
    for norm in norms:
        norm.batch = None


def has_batch_norm(module: nn.Module) -> bool:
    """Return whether any part of the module is batch norm."""
    return any(isinstance(part, BatchNorm) for part in module.modules())


def split_batch_norm(module: nn.Module, splits: int, follows_later: bool = False) -> nn.Module:
    """The module with a SplitBatchNorm for every BatchNorm1d and BatchNorm2d (in place, but for the module itself).

    ValueError if it has batch norm of another kind.
    """
    if isinstance(module, BatchNorm):
        if type(module) not in (nn.BatchNorm1d, nn.BatchNorm2d):
            kind = type(module).__name__
            raise ValueError(f"batch norm of the kind {kind} cannot be split; set 'batch_norm_splits: 1'")
        return SplitBatchNorm(splits, module, follows_later)
    for name, child in module.named_children():
        setattr(module, name, split_batch_norm(child, splits, follows_later))
    return module

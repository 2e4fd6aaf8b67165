"""Batch norm over parts of the batch, so that one device behaves as several do (as in MoCo's code for CIFAR-10).

S counts the parts. `SC` is one dimension: the C channels of each part, one part after the other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simssl.blocks.internals import BatchNorm


class SplitBatchNorm(BatchNorm):
    """Batch norm of (N, C, ...) that in training normalises each of `splits` equal parts by itself.

    A part is the images whose indices in the batch are the same modulo `splits`, as in MoCo's code, for which nothing
    is copied. The running statistics follow the mean over all parts, of their means and of their unbiased variances.
    """

    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, splits: int, norm: BatchNorm) -> None:
        """Take over the settings, weights and running statistics of `norm`."""
        if norm.momentum is None or norm.running_mean is None:
            raise ValueError("a batch norm without a momentum or running statistics cannot be split")
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine)
        self.splits = splits
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
        mean_SC = self.running_mean.repeat(S)
        variance_SC = self.running_var.repeat(S)
        weight_SC = None
        bias_SC = None
        if self.affine:
            weight_SC = self.weight.repeat(S)
            bias_SC = self.bias.repeat(S)
        rows = len(x_NC) // S
        parts = x_NC.reshape(rows, S * C, *x_NC.shape[2:])
        y = F.batch_norm(parts, mean_SC, variance_SC, weight_SC, bias_SC, True, self.momentum, self.eps)
        with torch.no_grad():
            mean_change_SC = mean_SC.view(S, C) - self.running_mean
            variance_change_SC = variance_SC.view(S, C) - self.running_var
            self.running_mean.add_(mean_change_SC.mean(0))
            self.running_var.add_(variance_change_SC.mean(0))
            self.num_batches_tracked.add_(1)
        return y.reshape(x_NC.shape)


def has_batch_norm(module: nn.Module) -> bool:
    """Return whether any part of the module is batch norm."""
    return any(isinstance(part, BatchNorm) for part in module.modules())


def split_batch_norm(module: nn.Module, splits: int) -> nn.Module:
    """The module with a SplitBatchNorm for every BatchNorm1d and BatchNorm2d (in place, but for the module itself).

    ValueError if it has batch norm of another kind.
    """
    if isinstance(module, BatchNorm):
        if type(module) not in (nn.BatchNorm1d, nn.BatchNorm2d):
            kind = type(module).__name__
            raise ValueError(f"batch norm of the kind {kind} cannot be split; set 'batch_norm_splits: 1'")
        return SplitBatchNorm(splits, module)
    for name, child in module.named_children():
        setattr(module, name, split_batch_norm(child, splits))
    return module

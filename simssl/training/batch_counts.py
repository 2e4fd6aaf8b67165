"""The counters of batch norms: what a forward pass adds to each of them is added to all in one operation."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from simssl.blocks.internals import BatchNorm, own_buffers
from simssl.blocks.networks import SplitBatchNorm, SyncedBatchNorm, SyncedSplitBatchNorm

COUNTER = "num_batches_tracked"
"""The name of the counter among a batch norm's buffers."""

KINDS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    SplitBatchNorm,
    SyncedBatchNorm,
    SyncedSplitBatchNorm,
)
"""The kinds that only add to their counter, if they have a momentum. Their subclasses may read it, too."""


class BatchCounts:
    """The counters of a module's batch norms."""

    def __init__(self, module: nn.Module) -> None:
        self._norms = [part for part in module.modules() if isinstance(part, BatchNorm) and type(part) in KINDS]

    @contextmanager
    def added_together(self) -> Iterator[None]:
        """Count on the host what is added to the counters within, and add it to them at the end."""
        norms = [norm for norm in self._norms if _only_adds(norm)]
        on_host = [_OnHost.of(own_buffers(norm)[COUNTER]) for norm in norms]
        for norm, counted in zip(norms, on_host, strict=True):
            own_buffers(norm)[COUNTER] = counted
        try:
            yield
        finally:
            for norm, counted in zip(norms, on_host, strict=True):
                if own_buffers(norm)[COUNTER] is counted:  # and nobody has put another one in its place
                    own_buffers(norm)[COUNTER] = counted.counter
        _add(on_host)


class _OnHost(Tensor):
    """A counter as it was. What is added to it is counted on the host alone."""

    counter: Tensor
    added = 0

    @staticmethod
    def of(counter: Any) -> _OnHost:
        on_host: _OnHost = counter.as_subclass(_OnHost)
        on_host.counter = counter
        return on_host

    def add_(self, number: int) -> _OnHost:  # type: ignore[override]
        self.added += number
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A copy of the counter, for a network that is copied in the middle of a pass."""
        return copy.deepcopy(self.counter, memo)


def _only_adds(norm: BatchNorm) -> bool:
    """Return whether the batch norm has a counter and only adds to it: without a momentum it reads it, too."""
    return norm.momentum is not None and own_buffers(norm).get(COUNTER) is not None


def _add(on_host: list[_OnHost]) -> None:
    """Add to each counter what was counted on the host for it."""
    changed = [counted for counted in on_host if counted.added]
    if changed:
        torch._foreach_add_([counted.counter for counted in changed], [counted.added for counted in changed])

"""The processes of a run as torch's process groups connect them: NCCL on CUDA, gloo on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from simssl.errors import LostProcessError

Result = TypeVar("Result")


class TorchGroup:
    """A `simssl.blocks.distributed.Group` of torch's. LostProcessError if another process is gone."""

    def __init__(self, group: Any) -> None:
        self._group: dist.ProcessGroup = group
        self.rank: int = group.rank()
        self.size: int = group.size()

    def close(self) -> None:
        """Let go of torch's group. Nothing can be exchanged any more."""
        del self._group

    def sum(self, x: Tensor) -> None:
        _exchanged(lambda: self._group.allreduce([x]).wait())

    def gather(self, x: Tensor) -> Tensor:
        gathered = torch.empty(self.size, *x.shape, dtype=x.dtype, device=x.device)
        _exchanged(lambda: self._group.allgather([list(gathered.unbind(0))], [x]).wait())
        return gathered

    def copy_first(self, x: Tensor) -> None:
        _exchanged(lambda: self._group.broadcast(x, 0).wait())


def _exchanged(exchange: Callable[[], Result]) -> Result:
    try:
        return exchange()
    except RuntimeError as error:  # torch's, of every backend
        raise LostProcessError(str(error)) from error

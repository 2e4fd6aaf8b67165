"""The processes that train a run together, and what they exchange.

Each has an equal part of the rows of every batch, one part after the other in the order of their ranks. All hold one
state of the random generator and advance it equally. The loss is the average of what the processes return.

R counts the processes. B counts the rows of one process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor


class Group(Protocol):
    """Processes that train a run together, as one of them sees them."""

    rank: int
    """This process among them, from 0."""
    size: int
    """Their number."""

    def sum(self, x: Tensor) -> None:
        """Replace the tensor by its sum over all processes."""

    def gather(self, x: Tensor) -> Tensor:
        """Return the tensors (R, *shape) of all processes, in the order of their ranks."""

    def copy_first(self, x: Tensor) -> None:
        """Replace the tensor by that of process 0."""


class Seat:
    """A place in a group, to build a run for it. Nothing can be exchanged yet."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank = rank
        self.size = size

    def sum(self, x: Tensor) -> None:
        raise RuntimeError("the group is not there yet")

    def gather(self, x: Tensor) -> Tensor:
        raise RuntimeError("the group is not there yet")

    def copy_first(self, x: Tensor) -> None:
        raise RuntimeError("the group is not there yet")


_here = threading.local()
"""Its `group` is the group that this thread trains with; without one it trains alone."""


def _group() -> Group | None:
    return getattr(_here, "group", None)


@contextmanager
def together(group: Group | None) -> Iterator[None]:
    """Within it this thread is one of a group that trains a run together. With None it is alone."""
    before = _group()
    _here.group = group
    try:
        yield
    finally:
        _here.group = before


def rank() -> int:
    """This process among all that train the run together, from 0."""
    group = _group()
    return group.rank if group else 0


def world_size() -> int:
    """The number of processes that train the run together."""
    group = _group()
    return group.size if group else 1


# --- rows ------------------------------------------------------------------------------------------------


def gather(x_BD: Tensor) -> Tensor:
    """The rows of every process, in the order of their ranks.

    Each process has to have as many. It is differentiable: the gradient of a row is the sum over all processes.
    """
    group = _group()
    if group is None:
        return x_BD
    gathered: Tensor = _Gather.apply(x_BD, group)
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BD: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return group.gather(x_BD.contiguous()).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].clone(memory_format=torch.contiguous_format)
        ctx.group.sum(gradient)
        return _part(gradient, ctx.group.rank, ctx.group.size), None


def own_rows(x: Tensor) -> Tensor:
    """The rows of this process, of a tensor that has those of all."""
    return _part(x, rank(), world_size())


def _part(x: Tensor, number: int, parts: int) -> Tensor:
    rows = len(x) // parts
    return x[number * rows : (number + 1) * rows]


def draw_rows(rows: int, draw: Callable[[int], Tensor]) -> Tensor:
    """This process's rows of a random draw, which does not depend on the number of processes.

    `draw(count)` draws a tensor of `count` rows. It is asked for those of all processes, and `rows` of them are kept.
    What is drawn for the whole batch, and not for its rows, is drawn without this function: it is the same everywhere.
    """
    return own_rows(draw(rows * world_size()))


# --- what the training exchanges -------------------------------------------------------------------------


def average(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in one exchange for each type of numbers."""
    group = _group()
    if group is None:
        return
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        chosen = [tensor for tensor in tensors if tensor.dtype == dtype]
        _average(chosen, group)


def _average(tensors: list[Tensor], group: Group) -> None:
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    group.sum(flat)
    flat.div_(group.size)
    sizes = [tensor.numel() for tensor in tensors]
    for tensor, values in zip(tensors, flat.split(sizes), strict=True):
        tensor.copy_(values.view(tensor.shape))


def copy_from_first(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by the one that process 0 has."""
    group = _group()
    if group is None:
        return
    for tensor in tensors:
        sent = tensor.detach().contiguous()
        group.copy_first(sent)
        tensor.detach().copy_(sent)


def sum_of_shares(x: Tensor) -> Tensor:
    """The sum of what the processes have computed, each its share of the rows and zeros elsewhere."""
    group = _group()
    if group is not None:
        group.sum(x)
    return x

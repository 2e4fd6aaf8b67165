"""Find host synchronisation on a CPU: operations for which the host would have to wait for a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

WAITS = {
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::is_nonzero",
    "aten::equal",
    "aten::allclose",
    "aten::bincount",
    "aten::_unique",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::unique_consecutive",
    "aten::_linalg_check_errors",
}
"""Operations whose result, or its size, must reach the host before it can go on."""

TO_HOST = {Tensor.cpu, Tensor.numpy, Tensor.tolist}
"""Methods that come down to no operation on a CPU, so that only the call can be seen."""

COPIES = "aten::lift_fresh"
"""The operation of `torch.tensor(value)` and `torch.as_tensor(value)`: a copy from the host."""


class _Refuse(TorchDispatchMode):
    """A mode of torch in which an operation raises AssertionError if the host would wait for it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        if name in WAITS:
            read = " (.item(), float(), bool() or an if of a tensor)" if name == "aten::_local_scalar_dense" else ""
            raise AssertionError(f"{name}{read} makes the host wait for the device")
        if name == COPIES:
            raise AssertionError("torch.tensor copies from the host in every step; use torch.full, or a buffer")
        if name.startswith("aten::index") and _has_mask(args):
            raise AssertionError(f"{name} with a boolean mask makes the host wait for the device; use torch.where")
        if name == "aten::repeat_interleave" and kwargs is not None and kwargs.get("output_size") is None:
            raise AssertionError(f"{name} without output_size makes the host wait for the number of repeats")
        return func(*args, **(kwargs or {}))


class _RefuseCopies(TorchFunctionMode):
    """A mode of torch in which a method that copies to the host raises AssertionError."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in TO_HOST:
            raise AssertionError(f"Tensor.{func.__name__} makes the host wait for the device")
        return func(*args, **(kwargs or {}))


def _has_mask(args: Any) -> bool:
    indices: list[Any] = []
    for arg in args:
        if isinstance(arg, (list, tuple)):
            indices.extend(arg)
    masks = (torch.bool, torch.uint8)
    return any(isinstance(index, Tensor) and index.dtype in masks for index in indices)


@contextmanager
def refuse_host_synchronisation() -> Iterator[None]:
    """Raise AssertionError on `.item()`, `if tensor`, boolean-mask indexing and the like."""
    with _Refuse(), _RefuseCopies():
        yield

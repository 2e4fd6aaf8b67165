"""Finds host synchronisation on a CPU: operations for which the host would have to wait for a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

WAITS = {
    f"aten::{name}"
    for name in (
        *("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "allclose", "bincount"),
        *("_unique", "_unique2", "unique_dim", "unique_consecutive", "_linalg_check_errors"),
    )
}
"""Their result, or its size, must reach the host before it can go on."""

TO_HOST = {Tensor.cpu, Tensor.numpy, Tensor.tolist}
"""On a CPU they reach no operation that could be watched for."""

COPIES = "aten::lift_fresh"
"""What `torch.tensor(value)` and `torch.as_tensor(value)` come down to: a copy from the host."""


class _Refuse(TorchDispatchMode):
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
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in TO_HOST:
            raise AssertionError(f"Tensor.{func.__name__} makes the host wait for the device")
        return func(*args, **(kwargs or {}))


def _has_mask(args: Any) -> bool:
    lists = (arg for arg in args if isinstance(arg, (list, tuple)))
    return any(isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for arg in lists for index in arg)


@contextmanager
def refuse_host_synchronisation() -> Iterator[None]:
    """AssertionError on `.item()`, `if tensor`, boolean-mask indexing and the like."""
    with _Refuse(), _RefuseCopies():
        yield

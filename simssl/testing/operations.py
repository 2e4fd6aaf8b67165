"""The operations of torch that a piece of code does: what a small step on a GPU is bound by."""

from __future__ import annotations

import functools
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

SILENT = (
    "aten::empty",
    "aten::new_empty",
    "aten::detach",
    "aten::_unsafe_view",
    "aten::_local_scalar_dense",
    "profiler",
)
"""Operations that write no tensor's numbers, though what they return is no view."""


class Operations(TorchDispatchMode):
    """Notes the operations that are dispatched within it and that write memory. A view of a tensor is none.

    A call that works on many tensors at once (`_foreach`, a fused optimiser) is one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        """Their names, in order."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if writes(func):
            self.note(func._schema.name.removeprefix("aten::"))
        return func(*args, **(kwargs or {}))

    def note(self, name: str) -> None:
        self.names.append(name)


@functools.cache
def writes(func: Any) -> bool:
    """Return whether the operation writes memory: not if all that it returns are views of what it was given."""
    if func._schema.name.startswith(SILENT):
        return False
    returns = func._schema.returns
    are_views = [value.alias_info is not None and not value.alias_info.is_write for value in returns]
    return not (are_views and all(are_views))

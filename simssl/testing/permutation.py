"""Permutes a batch's images, and along with them what is drawn for each."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

Layout = Literal["by image", "by view", "none"]
"""How draws lie: (B, ...) or (B * J, ...), all views of an image together; (B, ...), (J, B, ...) or (J * B, ...), all
images of a view together; or none of them for single images."""

LAYOUTS: tuple[Layout, ...] = ("by image", "by view", "none")


class PermutedDraws(TorchDispatchMode):
    """Under it, what is drawn at random is drawn as ever, and then comes in the images' new order (B,).

    A draw whose distribution depends on the images is drawn in their old order. `torch.randperm(B)` is of the images
    themselves: whom it led from one to another, it still does.
    """

    def __init__(self, order_B: Tensor, J: int, layout: Layout) -> None:
        super().__init__()
        self._order_B, self._J, self._layout = order_B, J, layout
        self._back_B = order_B.argsort()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._layout == "none" or torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        first = func._schema.arguments[0]
        if first.alias_info is not None and first.alias_info.is_write:  # a draw into its first argument
            drawn = func(args[0], *self._unpermuted(args[1:]), **self._unpermuted(kwargs))
            return drawn.copy_(permuted(drawn, self._order_B, self._J, self._layout))
        drawn = func(*self._unpermuted(args), **self._unpermuted(kwargs))
        if func._schema.name == "aten::randperm":
            return self._back_B[drawn[self._order_B]] if len(drawn) == len(self._order_B) else drawn
        return permuted(drawn, self._order_B, self._J, self._layout)

    def _unpermuted(self, arguments: Any) -> Any:
        return tree_map_only(Tensor, lambda t: permuted(t, self._back_B, self._J, self._layout), arguments)


def permuted(draws: Tensor, order_B: Tensor, J: int, layout: Layout) -> Tensor:
    """The draws in the images' new order; as they are if they are not of B images, nor of their J views each."""
    B, shape = len(order_B), tuple(draws.shape)
    if shape[:1] == (B,):
        return draws[order_B]
    if layout == "by view" and shape[:2] == (J, B):
        return draws[:, order_B]
    if layout == "by view" and shape[:1] == (J * B,):
        return draws.unflatten(0, (J, B))[:, order_B].flatten(0, 1)
    if layout == "by image" and shape[:1] == (B * J,):
        return draws.unflatten(0, (B, J))[order_B].flatten(0, 1)
    return draws

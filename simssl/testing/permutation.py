"""Permute the images of a batch, and along with them what is drawn at random for each image.

B counts the images of a batch, J the views of each.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

Layout = Literal["by image", "by view", "none"]
"""The order in which random numbers are drawn for views.

"by image": (B, ...) or (B * J, ...), all views of an image together. "by view": (B, ...), (J, B, ...) or (J * B, ...),
all images of a view together. "none": nothing is drawn for single images.
"""

LAYOUTS: tuple[Layout, ...] = ("by image", "by view", "none")


class PermutedDraws(TorchDispatchMode):
    """A mode of torch in which random numbers are drawn for images in a new order, `order_B`.

    Each draw is made as without the mode, and its result is then put into the new order. So each image has the numbers
    that it has without the mode. If the distribution of a draw depends on the images, its arguments are put into the
    old order first. `torch.randperm(B)` is a permutation of the images themselves. It leads from each image to the same
    other image as without the mode.
    """

    def __init__(self, order_B: Tensor, J: int, layout: Layout) -> None:
        super().__init__()
        self._order_B = order_B
        self._back_B = order_B.argsort()
        self._J = J
        self._layout: Layout = layout

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._layout == "none" or torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        first = func._schema.arguments[0]
        draws_into_first = first.alias_info is not None and first.alias_info.is_write
        if draws_into_first:
            target, *others = args
            drawn = func(target, *self._in_old_order(others), **self._in_old_order(kwargs))
            return drawn.copy_(self._in_new_order(drawn))
        drawn = func(*self._in_old_order(args), **self._in_old_order(kwargs))
        if func._schema.name != "aten::randperm":
            return self._in_new_order(drawn)
        if len(drawn) != len(self._order_B):
            return drawn
        return self._back_B[drawn[self._order_B]]

    def _in_new_order(self, drawn: Tensor) -> Tensor:
        return permuted(drawn, self._order_B, self._J, self._layout)

    def _in_old_order(self, arguments: Any) -> Any:
        def restore(argument: Tensor) -> Tensor:
            return permuted(argument, self._back_B, self._J, self._layout)

        return tree_map_only(Tensor, restore, arguments)


def permuted(draws: Tensor, order_B: Tensor, J: int, layout: Layout) -> Tensor:
    """The draws in the images' new order. Draws that are not for B images, nor for J views of each, stay unchanged."""
    B = len(order_B)
    shape = tuple(draws.shape)
    if shape[:1] == (B,):
        return draws[order_B]
    if layout == "by view" and shape[:2] == (J, B):
        return draws[:, order_B]
    if layout == "by view" and shape[:1] == (J * B,):
        by_view = draws.unflatten(0, (J, B))
        return by_view[:, order_B].flatten(0, 1)
    if layout == "by image" and shape[:1] == (B * J,):
        by_image = draws.unflatten(0, (B, J))
        return by_image[order_B].flatten(0, 1)
    return draws

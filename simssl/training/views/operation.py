"""The protocol of the views' operations, and the draws that they share. M counts views: B images, J views each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

Draws = dict[str, Tensor]
"""The drawn parameters (M, ...) of M views, by name. Each operation says which are its own."""


class Operation(Protocol):
    """One thing that is done to views, each with draws of its own. The host never waits for the device."""

    random: bool
    """True if two views of an image can differ by it."""

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """The parameters of `count` views, on the generator's device."""

    def prepare(self, draws: Draws) -> Draws:
        """The values (M, ...) that `apply` uses: computed for all views at once, and used for a few at a time."""

    def apply(self, x_MCHW: Tensor, prepared: Draws) -> Tensor:
        """The views in [0, 1], changed as drawn; in place if it can be."""

    def style(self, draws: Draws) -> Draws:
        """The parameters that an observer could read off the views (M,), float32."""


class Constant:
    """Numbers that never change. Each device has one copy of them, made when it is first asked for."""

    def __init__(self, values: Tensor) -> None:
        self._values = values
        self._on = {values.device: values}

    def beside(self, other: Tensor) -> Tensor:
        """The numbers on the device of another tensor."""
        if other.device not in self._on:
            self._on[other.device] = self._values.to(other.device)
        return self._on[other.device]


class Ranges:
    """Ranges that numbers are drawn from, one beside the other along the dimensions of `shape`."""

    def __init__(self, limits: Sequence[tuple[float, float]], shape: Sequence[int]) -> None:
        lows = [low for low, _ in limits]
        spans = [high - low for low, high in limits]
        self._low = Constant(torch.tensor(lows).view(*shape))
        self._span = Constant(torch.tensor(spans).view(*shape))

    def between(self, u: Tensor, out: Tensor | None = None) -> Tensor:
        """The numbers that lie in their ranges as u lies between 0 and 1."""
        drawn = torch.mul(u, self._span.beside(u), out=out)
        return drawn.add_(self._low.beside(u))


def happens(probability: float, count: int, generator: torch.Generator) -> Tensor:
    """(count,) booleans that are true with a probability."""
    u = torch.rand(count, generator=generator, device=generator.device)
    return u < probability

"""The protocol of the views' operations, and the draws that they share. M counts views: B images, J views each."""

from __future__ import annotations

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


def uniform(limits: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    """(count,) draws, uniform between the limits, on the generator's device."""
    u = torch.rand(count, generator=generator, device=generator.device)
    return between(limits, u)


def happens(probability: float, count: int, generator: torch.Generator) -> Tensor:
    """(count,) booleans that are true with a probability."""
    u = torch.rand(count, generator=generator, device=generator.device)
    return u < probability


def between(limits: tuple[float, float], u: Tensor) -> Tensor:
    """The numbers that lie between the limits as u lies between 0 and 1."""
    low, high = limits
    return low + (high - low) * u

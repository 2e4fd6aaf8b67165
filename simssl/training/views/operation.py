"""What the operations of the views have in common. M counts views: B images, J views each."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

Draws = dict[str, Tensor]
"""The drawn parameters (M, ...) of M views, by name; each operation says which are its own."""


class Operation(Protocol):
    """One thing that is done to views, each with draws of its own. The host never waits for the device."""

    random: bool
    """Whether two views of an image can differ by it."""

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """The parameters of `count` views, on the generator's device."""

    def prepare(self, draws: Draws) -> Draws:
        """What `apply` computes with, (M, ...) again: found for all views at once, and applied to a few at a time."""

    def apply(self, x_MCHW: Tensor, prepared: Draws) -> Tensor:
        """The views in [0, 1], changed as drawn; in place where it can."""

    def style(self, draws: Draws) -> Draws:
        """What an observer could read off the views (M,), float32."""


def uniform(limits: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    """(count,) draws, uniform between the limits, on the generator's device."""
    return between(limits, torch.rand(count, generator=generator, device=generator.device))


def happens(probability: float, count: int, generator: torch.Generator) -> Tensor:
    """(count,) booleans that are true with a probability."""
    return torch.rand(count, generator=generator, device=generator.device) < probability


def between(limits: tuple[float, float], u: Tensor) -> Tensor:
    """What lies between the limits where u lies between 0 and 1."""
    return limits[0] + (limits[1] - limits[0]) * u

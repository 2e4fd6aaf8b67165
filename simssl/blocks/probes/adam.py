"""Adam on several problems at once, each with a learning rate of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from torch import Tensor

from simssl.blocks.internals import fused_adam

LayersIn = Callable[[Tensor], list[Tensor]]
"""Gives the layers (M, O, I) of M problems, each a view of a vector."""


def adam_of_problems(
    layers_in: LayersIn, vectors: Sequence[Tensor], lr: float | Sequence[float]
) -> Callable[[Tensor], None]:
    """A function that takes one step of Adam, given its number (from 1, a 0-d tensor).

    The vectors are the weights, their gradient, and its running mean and square. `lr` is the learning rate, one for all
    problems or one for each. Problems in a row that have the same one are updated together.
    """
    if isinstance(lr, int | float):
        weight, gradient, mean, square = vectors
        return fused_adam([weight], [gradient], [mean], [square], lr)
    steps = []
    for rate, run in itertools.groupby(range(len(lr)), key=lr.__getitem__):
        first, *others = run
        problems = slice(first, first + 1 + len(others))
        weights, gradients, means, squares = (_of_problems(layers_in(vector), problems) for vector in vectors)
        steps.append(fused_adam(weights, gradients, means, squares, rate))

    def step(number: Tensor) -> None:
        for step_of_run in steps:
            step_of_run(number)

    return step


def _of_problems(layers: Sequence[Tensor], problems: slice) -> list[Tensor]:
    return [layer[problems] for layer in layers]

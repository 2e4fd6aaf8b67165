"""Subjects of evaluators whose representation, and so whose score, is known."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from simssl.api import Data, Evaluator, Split, Target
from simssl.blocks.probes.splits import selection_split
from simssl.plugin.registry import Registry

REGISTRY = Registry(builtins_only=True)
CLASSES = 4

Labels = tuple[Tensor, Tensor]
"""Of the training and of the test images; -1 for none."""


class Known:
    """A subject whose representation is any function of the image (or, for features, of the labels)."""

    def __init__(self, train: Tensor, test: Tensor, labels: Labels, seed: int = 0) -> None:
        self.device = torch.device("cpu")
        self.generator = torch.Generator().manual_seed(seed)
        self._features = {"train": train, "test": test}
        self.set_targets(**{"class": target(labels, CLASSES)})

    def set_targets(self, **targets: tuple[Target, Target]) -> None:
        """Other targets than `class`: of the training and of the test images."""
        splits = [
            Split(torch.zeros(len(x), 1, 8, 8, dtype=torch.uint8), {name: both[i] for name, both in targets.items()})
            for i, x in enumerate(self._features.values())
        ]
        self.data = Data.of(*splits)

    def features(self, split: str, layer: str = "representation") -> Tensor:
        return self._features[split]

    def selection(self) -> tuple[Tensor, Tensor]:
        return selection_split(self.data)


def target(labels: Labels, classes: int, role: Literal["content", "style"] | None = None) -> tuple[Target, Target]:
    names = tuple(str(c) for c in range(classes))
    return Target(labels[0], names, role), Target(labels[1], names, role)


def evaluator(name: str, **params: object) -> Evaluator:
    plugin = REGISTRY.load("evaluator", name)
    built: Evaluator = plugin(plugin.Params(**params))
    return built


def labelled(n_train: int = 400, n_test: int = 200, seed: int = 0, classes: int = CLASSES) -> Labels:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(0, classes, (n,), generator=generator) for n in (n_train, n_test))  # type: ignore[return-value]


def noise(n: int, seed: int, dimensions: int = 6) -> Tensor:
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed))


def oracle(labels: Labels) -> Known:
    one_hot = [torch.nn.functional.one_hot(y, CLASSES).repeat(1, 4) + 0.01 * noise(len(y), 3, 16) for y in labels]
    return Known(one_hot[0], one_hot[1], labels)

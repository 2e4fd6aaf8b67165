"""Checks of data sets, on the few images that `example` writes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from simssl.api import Data, Dataset, Target
from simssl.testing.fixtures import load_example
from simssl.testing.outcomes import Check
from simssl.testing.randomness import leaves_global_randomness


def loads_what_it_writes(dataset: type[Dataset], folder: Path) -> None:
    """`load` reads what `example` wrote. Train and test have images of one shape, and the same targets."""
    data = load_example(dataset, folder)
    assert len(data.train) > 0, "there is no training image"
    if data.test is not None:
        assert len(data.test) > 0, "there is no test image: leave out the test split"
        train = ", ".join(sorted(data.train.targets)) or "none"
        test = ", ".join(sorted(data.test.targets)) or "none"
        assert train == test, f"the targets of train are {train}, those of test {test}"


def labels_name_their_classes(dataset: type[Dataset], folder: Path) -> None:
    """The values of a target are floats, or integers that number its classes from 0; -1 stands for none."""
    data = load_example(dataset, folder)
    for split in (data.train, data.test):
        if split is None or len(split) == 0:  # `loads_what_it_writes` tells of a split without images
            continue
        for name, target in split.targets.items():
            _check_target(name, target)


def _check_target(name: str, target: Target) -> None:
    if target.classes is None:
        assert target.values.is_floating_point(), f"'{name}' has neither classes nor floats"
        return
    low = int(target.values.min())
    high = int(target.values.max())
    classes = len(target.classes)
    assert -1 <= low <= high < classes, f"'{name}' has labels from {low} to {high}, and {classes} classes"


def loading_repeats(dataset: type[Dataset], folder: Path) -> None:
    """Images, targets and fingerprint are the same when loaded twice, whatever the global random state."""
    loaded = []
    for seed in (0, 1):
        with leaves_global_randomness(seed, "a generator of its own"):
            loaded.append(load_example(dataset, folder))
    first, second = loaded
    for (name, one), (_, other) in zip(_tensors(first), _tensors(second), strict=True):
        assert torch.equal(one, other), f"loaded again, {name} differ"
    assert first.fingerprint == second.fingerprint, "loaded again, the same data has another fingerprint"


def _tensors(data: Data) -> list[tuple[str, Tensor]]:
    """The images and the targets of each split, each with a name for messages."""
    tensors = []
    for name, split in (("train", data.train), ("test", data.test)):
        if split is not None:
            tensors.append((f"the {name} images", split.images))
            for target_name, target in split.targets.items():
                tensors.append((f"the values of '{target_name}' of {name}", target.values))
    return tensors


CHECKS: tuple[Check, ...] = (loads_what_it_writes, labels_name_their_classes, loading_repeats)

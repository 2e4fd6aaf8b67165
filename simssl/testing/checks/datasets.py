"""Checks of data sets, on the few images that `example` writes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from simssl.api import Data, Dataset
from simssl.testing.fixtures import load_example
from simssl.testing.outcomes import Check
from simssl.testing.randomness import leaves_global_randomness


def loads_what_it_writes(dataset: type[Dataset], folder: Path) -> None:
    """`load` reads what `example` wrote; train and test have images of one shape, and the same targets."""
    data = load_example(dataset, folder)
    assert len(data.train) > 0, "there is no training image"
    if data.test is not None:
        assert len(data.test) > 0, "there is no test image: leave out the test split"
        train, test = (", ".join(sorted(split.targets)) or "none" for split in (data.train, data.test))
        assert train == test, f"the targets of train are {train}, those of test {test}"


def labels_name_their_classes(dataset: type[Dataset], folder: Path) -> None:
    """A target is of floats, or its integers number its classes from 0, -1 for none."""
    data = load_example(dataset, folder)
    for split in (data.train, data.test):
        for name, target in (split.targets if split else {}).items():
            if target.classes is None:
                assert target.values.is_floating_point(), f"'{name}' has neither classes nor floats"
            else:
                low, high = int(target.values.min()), int(target.values.max())
                classes = len(target.classes)
                assert -1 <= low <= high < classes, f"'{name}' has labels from {low} to {high}, and {classes} classes"


def loading_repeats(dataset: type[Dataset], folder: Path) -> None:
    """Loaded twice, images, targets and fingerprint are the same, whatever the global random state."""
    loaded = []
    for seed in (0, 1):
        with leaves_global_randomness(seed, "a generator of its own"):
            loaded.append(load_example(dataset, folder))
    first, second = loaded
    for (name, one), (_, other) in zip(_tensors(first), _tensors(second), strict=True):
        assert torch.equal(one, other), f"loaded again, {name} differ"
    assert first.fingerprint == second.fingerprint, "loaded again, the same data has another fingerprint"


def _tensors(data: Data) -> list[tuple[str, Tensor]]:
    found = []
    for name, split in (("train", data.train), ("test", data.test)):
        if split is not None:
            found.append((f"the {name} images", split.images))
            found += [(f"the values of '{target}' of {name}", split.targets[target].values) for target in split.targets]
    return found


CHECKS: tuple[Check, ...] = (loads_what_it_writes, labels_name_their_classes, loading_repeats)

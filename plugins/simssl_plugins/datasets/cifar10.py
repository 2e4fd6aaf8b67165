"""CIFAR-10: 60,000 colour pictures of ten kinds of things, 32 x 32 pixels (Krizhevsky 2009).

P counts the values of an image, channel by channel.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.datasets import CIFAR10

import simssl
from simssl.api import Data, Dataset, Progress, Split, Target
from simssl.blocks.images import may_download, without_leftovers
from simssl.blocks.messages import reason

FOLDER = "cifar-10-batches-py"
TRAIN = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")
TEST = ("test_batch",)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Cifar10(Dataset):
    """CIFAR-10: 50,000 training and 10,000 test images of 3 x 32 x 32, in `cifar-10-batches-py` or downloaded there.

    Target `class`: the kind of thing, ten of them.
    """

    class Params(simssl.Params):
        per_class: int | None = simssl.added(None, ge=1)
        "So many training images of each class alone, the first ones in the files, for short runs. All without it."

    def load(self, root: Path, progress: Progress) -> Data:
        if _missing(root):
            _download(root)
        train = _split(root / FOLDER, TRAIN)
        if self.params.per_class is not None:
            train = _first(train, self.params.per_class)
        test = _split(root / FOLDER, TEST)
        return Data.of(train, test)

    @classmethod
    def example(cls, root: Path) -> None:
        """Eight images a batch: grey levels that grow with the label."""
        folder = root / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*TRAIN, *TEST):
            labels = list(range(8))
            levels_N1 = np.array(labels, dtype=np.uint8)[:, None] * 25
            rows_NP = np.repeat(levels_N1, 3 * 32 * 32, axis=1)
            (folder / name).write_bytes(pickle.dumps({"labels": labels, "data": rows_NP}, protocol=2))


def _missing(root: Path) -> list[str]:
    """The names of the files that are not there."""
    return [name for name in (*TRAIN, *TEST) if not (root / FOLDER / name).is_file()]


def _download(root: Path) -> None:
    """Unpack or download the set; FileNotFoundError says what to put where if torchvision can do neither."""
    try:
        with without_leftovers(root):  # torchvision makes it before it downloads
            CIFAR10(str(root), download=may_download())
    except Exception as error:
        raise FileNotFoundError(
            f"{root / FOLDER} has no {', '.join(_missing(root))}, which could be neither unpacked from "
            f"{CIFAR10.filename} there nor downloaded ({reason(error)}); put {CIFAR10.filename} into {root}, or name "
            f"the folder above {FOLDER} with --data"
        ) from error


def _split(folder: Path, names: tuple[str, ...]) -> Split:
    images = []
    labels = []
    for name in names:
        images_N3HW, labels_N = _batch(folder / name)
        images.append(images_N3HW)
        labels.append(labels_N)
    target = Target(torch.from_numpy(np.concatenate(labels)), CLASSES, "content")
    return Split(torch.from_numpy(np.concatenate(images)), {"class": target})


def _first(split: Split, per_class: int) -> Split:
    """So many images of each class, in the order in which they are; ValueError if a class has fewer."""
    label_N = split.targets["class"].values
    of_class = [(label_N == label).nonzero().flatten() for label in range(len(CLASSES))]
    name, fewest = min(zip(CLASSES, map(len, of_class), strict=True), key=lambda pair: pair[1])
    if fewest < per_class:
        raise ValueError(f"dataset.per_class is {per_class}, and there are {fewest} images of {name}; make it smaller")
    index_N = torch.cat([index_C[:per_class] for index_C in of_class]).sort().values
    return Split(split.images[index_N], {"class": Target(label_N[index_N], CLASSES, "content")})


def _batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) uint8 and labels (N,) int64 of one file; ValueError if it is damaged."""
    try:
        with path.open("rb") as file:
            content = _Arrays(file, encoding="latin1").load()
        labels_N = np.array(content["labels"], dtype=np.int64)
        images_N3HW = content["data"].reshape(len(labels_N), 3, 32, 32)
        return images_N3HW, labels_N
    except Exception as error:
        raise ValueError(f"{path} is damaged ({reason(error)}); get it again") from error


class _Arrays(pickle.Unpickler):
    """Reads the batches' content, arrays and plain values, and runs no other code."""

    ALLOWED = (("numpy", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"))

    def find_class(self, module: str, name: str) -> Any:
        package = module.split(".")[0]
        if (package, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, not arrays alone")
        return super().find_class(module, name)


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return Cifar10

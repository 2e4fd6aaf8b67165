"""CIFAR-10: 60,000 colour pictures of ten kinds of things, 32 x 32 pixels (Krizhevsky 2009)."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.datasets import CIFAR10

import simssl
from simssl.api import Data, Dataset, Progress, Split, Target
from simssl.blocks.images.downloads import without_leftovers
from simssl.blocks.messages import reason

FOLDER = "cifar-10-batches-py"
TRAIN, TEST = tuple(f"data_batch_{n}" for n in range(1, 6)), ("test_batch",)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Cifar10(Dataset):
    """CIFAR-10: 50,000 training and 10,000 test images of 3 x 32 x 32, in `cifar-10-batches-py` or downloaded there.

    Target `class`: the kind of thing, ten of them.
    """

    def load(self, root: Path, progress: Progress) -> Data:
        if _missing(root):
            _download(root)
        return Data.of(*(_split(root / FOLDER, names) for names in (TRAIN, TEST)))

    @classmethod
    def example(cls, root: Path) -> None:
        """Eight images a batch: grey levels that grow with the label."""
        folder = root / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*TRAIN, *TEST):
            labels = [i % 10 for i in range(8)]
            rows_N = np.repeat(np.array(labels, dtype=np.uint8)[:, None] * 25, 3 * 32 * 32, axis=1)
            (folder / name).write_bytes(pickle.dumps({"labels": labels, "data": rows_N}, protocol=2))


def _missing(root: Path) -> list[str]:
    return [name for name in (*TRAIN, *TEST) if not (root / FOLDER / name).is_file()]


def _download(root: Path) -> None:
    """FileNotFoundError says what to put where if torchvision can neither unpack nor download it."""
    try:
        with without_leftovers(root):  # torchvision makes it before it downloads
            CIFAR10(str(root), download=True)
    except Exception as error:
        raise FileNotFoundError(
            f"{root / FOLDER} has no {', '.join(_missing(root))}, which could be neither unpacked from "
            f"{CIFAR10.filename} there nor downloaded ({reason(error)}); put {CIFAR10.filename} into {root}, or name "
            f"the folder above {FOLDER} with --data"
        ) from error


def _split(folder: Path, names: tuple[str, ...]) -> Split:
    batches = [_batch(folder / name) for name in names]
    images_N3HW, labels_N = (torch.from_numpy(np.concatenate(parts)) for parts in zip(*batches, strict=True))
    return Split(images_N3HW, {"class": Target(labels_N, CLASSES, "content")})


def _batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) uint8 and labels (N,) int64 of one file; ValueError if it is damaged."""
    try:
        with path.open("rb") as file:
            content = _Arrays(file, encoding="latin1").load()
        labels_N = np.array(content["labels"], dtype=np.int64)
        return content["data"].reshape(len(labels_N), 3, 32, 32), labels_N
    except Exception as error:
        raise ValueError(f"{path} is damaged ({reason(error)}); get it again") from error


class _Arrays(pickle.Unpickler):
    """Reads what the batches consist of, arrays and plain values, and runs no other code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.split(".")[0], name) not in {
            ("numpy", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, not arrays alone")
        return super().find_class(module, name)


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return Cifar10

"""Data sets in MNIST's file format, by way of torchvision's classes."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from simssl.blocks.images.downloads import may_download, without_leftovers
from simssl.blocks.messages import reason

FILES = {
    True: ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    False: ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""Images and labels of the training split, and of the test split."""


def load_idx(dataset: Any, root: Path, train: bool) -> tuple[Tensor, Tensor]:
    """Images (N, 1, H, W) uint8 and labels (N,) int64 of a torchvision class such as MNIST.

    They are read below `root`, or downloaded there. FileNotFoundError says what to put where, ValueError which file
    is damaged.
    """
    folder = root / dataset.__name__ / "raw"
    try:
        with without_leftovers(folder, folder.parent, root):  # torchvision makes them before it downloads
            split = dataset(str(root), train=train, download=may_download())
    except Exception as error:
        raise _explained(error, folder, train) from error
    images = len(split.data)
    labels = len(split.targets)
    if images != labels:
        raise ValueError(f"{folder} has {images} images and {labels} labels")
    return split.data[:, None], split.targets.long()


def _explained(error: Exception, folder: Path, train: bool) -> Exception:
    """The error that says what is missing, or which of the files cannot be read."""
    names = (*FILES[True], *FILES[False])
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        return FileNotFoundError(
            f"{folder} has no {', '.join(absent)}, which could be neither unpacked from there nor downloaded "
            f"({reason(error)}); put them there, or name the folder above {folder.parent.name} with --data"
        )
    if isinstance(error, OSError):
        return ValueError(f"{folder} cannot be read ({reason(error)})")
    either = " or ".join(FILES[train])
    return ValueError(f"{either} in {folder} is damaged ({reason(error)}); get them again")


def write_idx_example(dataset: Any, root: Path, images: int = 40) -> None:
    """Write a few images in the format of a torchvision class such as MNIST, for tests.

    They show squares whose position depends on their label.
    """
    folder = root / dataset.__name__ / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    labels_N = torch.arange(images) % 10
    for train, (image_file, label_file) in FILES.items():
        pixels_NHW = torch.zeros(images, 28, 28, dtype=torch.uint8)
        for i, label in enumerate(labels_N.tolist()):
            top, left = 2 * label, 10 - train
            pixels_NHW[i, top : top + 8, left:20] = 255
        _write_idx(folder / image_file, pixels_NHW)
        _write_idx(folder / label_file, labels_N.to(torch.uint8))


def _write_idx(file: Path, values: Tensor) -> None:
    """Write uint8 values of any shape behind the format's header."""
    magic_number = 0x0800 + values.ndim
    header = struct.pack(f">I{values.ndim}I", magic_number, *values.shape)
    file.write_bytes(header + values.numpy().tobytes())

"""MNIST: 70,000 hand-written digits of 28 x 28 pixels (LeCun et al. 1998)."""

from __future__ import annotations

from pathlib import Path

from torchvision.datasets import MNIST

import simssl
from simssl.api import Data, Dataset, Progress, Split, Target
from simssl.blocks.images import load_idx, write_idx_example

CLASSES = tuple("0123456789")


class Mnist(Dataset):
    """MNIST: 60,000 training and 10,000 test images of 1 x 28 x 28, in `MNIST/raw` or downloaded there.

    Target `class`: the digit.
    """

    def load(self, root: Path, progress: Progress) -> Data:
        train = self._split(root, train=True)
        test = self._split(root, train=False)
        return Data.of(train, test)

    def _split(self, root: Path, train: bool) -> Split:
        images_N1HW, labels_N = load_idx(MNIST, root, train)
        return Split(images_N1HW, {"class": Target(labels_N, CLASSES, "content")})

    @classmethod
    def example(cls, root: Path) -> None:
        write_idx_example(MNIST, root)


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return Mnist

"""FashionMNIST: 70,000 grey pictures of clothes, 28 x 28 pixels (Xiao et al. 2017)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torchvision.datasets import FashionMNIST

import simssl
from simssl.api import Data, Dataset, Progress, Split, Target
from simssl.blocks.images import load_idx, stroke_measures, write_idx_example

CLASSES = tuple(FashionMNIST.classes)


class FashionMnist(Dataset):
    """FashionMNIST: 60,000 training and 10,000 test images of 1 x 28 x 28, in `FashionMNIST/raw` or downloaded there.

    Target `class`: the kind of garment, ten of them.
    """

    class Params(simssl.Params):
        style: bool = simssl.added(False)
        """Targets `area`, `thickness`, `width` and `height` (in pixels) and `slant` (in degrees, above 0 to the right),
        measured of each image as Castro et al. 2019 do of digits. It takes half a minute."""

    def load(self, root: Path, progress: Progress) -> Data:
        train = self._split(root, progress, train=True)
        test = self._split(root, progress, train=False)
        return Data.of(train, test)

    def _split(self, root: Path, progress: Progress, train: bool) -> Split:
        images_N1HW, labels_N = load_idx(FashionMNIST, root, train)
        targets = {"class": Target(labels_N, CLASSES, "content")}
        if self.params.style:
            told = partial(progress, f"measuring the {'training' if train else 'test'} images")
            for name, value_N in stroke_measures(images_N1HW[:, 0], told).items():
                targets[name] = Target(value_N, None, "style")
        return Split(images_N1HW, targets)

    @classmethod
    def example(cls, root: Path) -> None:
        write_idx_example(FashionMNIST, root)


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return FashionMnist

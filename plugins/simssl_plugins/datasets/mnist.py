"""MNIST: 70,000 hand-written digits of 28 x 28 pixels (LeCun et al. 1998)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torchvision.datasets import MNIST

import simssl
from simssl.api import Data, Dataset, Modality, Progress, Split, Target
from simssl.blocks.captions import HANDWRITING, handwriting
from simssl.blocks.images import load_idx, stroke_measures, write_idx_example

CLASSES = tuple("0123456789")
MEDIUM = (2.1, 2.6)
"""The thickness that captions call medium, in pixels: a third of the digits. Ours."""


class Mnist(Dataset):
    """MNIST: 60,000 training and 10,000 test images of 1 x 28 x 28, in `MNIST/raw` or downloaded there.

    Target `class`: the digit.
    """

    class Params(simssl.Params):
        style: bool = simssl.added(False)
        """Targets `area`, `thickness`, `width` and `height` (in pixels) and `slant` (in degrees, above 0 to the right),
        measured of each image as Castro et al. 2019 do. It takes half a minute."""
        captions: bool = simssl.added(False)
        """A modality `caption`: the digit, its thickness and its slant in several wordings. It takes half a minute."""

    def load(self, root: Path, progress: Progress) -> Data:
        train = self._split(root, progress, train=True)
        test = self._split(root, progress, train=False)
        return Data.of(train, test)

    def _split(self, root: Path, progress: Progress, train: bool) -> Split:
        images_N1HW, labels_N = load_idx(MNIST, root, train)
        targets = {"class": Target(labels_N, CLASSES, "content")}
        modalities = {}
        if self.params.style or self.params.captions:
            told = partial(progress, f"measuring the {'training' if train else 'test'} images")
            measures = stroke_measures(images_N1HW[:, 0], told)
            if self.params.style:
                for name, value_N in measures.items():
                    targets[name] = Target(value_N, None, "style")
            if self.params.captions:
                tokens_NL = HANDWRITING.tokens(handwriting(labels_N, measures, MEDIUM))
                modalities["caption"] = Modality(tokens_NL, vocabulary=HANDWRITING.vocabulary)
        return Split(images_N1HW, targets, modalities=modalities)

    @classmethod
    def example(cls, root: Path) -> None:
        write_idx_example(MNIST, root)


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return Mnist

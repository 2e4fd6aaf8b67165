"""Digits: 1,797 hand-written digits of 8 x 8 pixels (Alpaydin & Kaynak 1998), embedded in scikit-learn."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor

import simssl
from simssl.api import Data, Dataset, Modality, Progress, Split, Target
from simssl.blocks.captions import HANDWRITING, handwriting
from simssl.blocks.images import stroke_measures
from simssl.blocks.probes import stratified_permutation

CLASSES = tuple("0123456789")
TRAIN = 1437
MEDIUM = (1.5, 1.9)
"""The thickness that captions call medium, in pixels: a third of the digits. Ours."""


class Digits(Dataset):
    """scikit-learn's digits: 1,437 training and 360 test images of 1 x 8 x 8, split by a fixed stratified permutation.

    Target `class`: the digit.
    """

    class Params(simssl.Params):
        captions: bool = simssl.added(False)
        "A modality `caption`: the digit, its thickness and its slant, measured in the image, in several wordings."

    def load(self, root: Path, progress: Progress) -> Data:
        bunch = load_digits()
        levels_NHW = torch.from_numpy(bunch.images * (255 / 16))
        images_N1HW = levels_NHW.round().to(torch.uint8)[:, None]
        labels_N = torch.from_numpy(bunch.target).long()
        order_N = stratified_permutation(labels_N)
        train_N, test_N = order_N[:TRAIN], order_N[TRAIN:]
        train = self._split(images_N1HW[train_N], labels_N[train_N])
        test = self._split(images_N1HW[test_N], labels_N[test_N])
        return Data.of(train, test)

    def _split(self, images_N1HW: Tensor, labels_N: Tensor) -> Split:
        modalities = {}
        if self.params.captions:
            measures = stroke_measures(images_N1HW[:, 0])
            tokens_NL = HANDWRITING.tokens(handwriting(labels_N, measures, MEDIUM))
            modalities["caption"] = Modality(tokens_NL, vocabulary=HANDWRITING.vocabulary)
        targets = {"class": Target(labels_N, CLASSES, "content")}
        return Split(images_N1HW, targets, modalities=modalities)


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return Digits

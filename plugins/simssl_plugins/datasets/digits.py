"""Digits: 1,797 hand-written digits of 8 x 8 pixels (Alpaydin & Kaynak 1998), embedded in scikit-learn."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.datasets import load_digits

import simssl
from simssl.api import Data, Dataset, Progress, Split, Target
from simssl.blocks.probes.splits import stratified_permutation

TRAIN = 1437


class Digits(Dataset):
    """scikit-learn's digits: 1,437 training and 360 test images of 1 x 8 x 8, split by a fixed stratified permutation.

    Target `class`: the digit.
    """

    def load(self, root: Path, progress: Progress) -> Data:
        bunch = load_digits()
        images_N188 = torch.from_numpy(bunch.images * (255 / 16)).round().to(torch.uint8)[:, None]
        labels_N = torch.from_numpy(bunch.target).long()
        order_N = stratified_permutation(labels_N)
        return Data.of(*(_split(images_N188[i], labels_N[i]) for i in (order_N[:TRAIN], order_N[TRAIN:])))


def _split(images_N188: torch.Tensor, labels_N: torch.Tensor) -> Split:
    return Split(images_N188, {"class": Target(labels_N, tuple("0123456789"), "content")})


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return Digits

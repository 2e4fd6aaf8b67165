"""Factors that are known of each image: as labels, as numbers to regress, and how well a prediction of them does.

N counts images, and P the numbers of a factor: one, or the cosine and the sine of an angle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BINS = 20
"""Bins of equal width that a factor of numbers, or a latent, is divided into. Source: disentanglement_lib."""


@dataclass(frozen=True)
class Factor:
    """One factor of N images: the numbers of classes (integers), or else numbers, which lie on a circle if it has a
    period."""

    values_N: np.ndarray
    period: float | None = None

    @property
    def has_classes(self) -> bool:
        return self.values_N.dtype.kind in "iu"

    @property
    def numbers_NP(self) -> np.ndarray:
        """What a regression predicts: the values, or the cosine and the sine of the angle."""
        values_N = self.values_N.astype(np.float64)
        if self.period is None:
            return values_N[:, None]
        angle_N = 2 * math.pi * values_N / self.period
        return np.stack([np.cos(angle_N), np.sin(angle_N)], axis=1)

    @property
    def labels_N(self) -> np.ndarray:
        """The classes; or the bin that each number lies in, of those of a whole circle if it has a period."""
        if self.has_classes:
            return self.values_N
        if self.period is None:
            return binned(self.values_N)
        share_N = np.mod(self.values_N.astype(np.float64), self.period) / self.period
        return np.minimum((BINS * share_N).astype(np.int64), BINS - 1)

    def __getitem__(self, index: np.ndarray) -> Factor:
        return Factor(self.values_N[index], self.period)


def binned(values_N: np.ndarray) -> np.ndarray:
    """The bin that each number lies in, of `BINS` from the least to the largest."""
    edges = np.histogram(values_N, BINS)[1]
    return np.digitize(values_N, edges[:-1])


def skill_of_numbers(predicted_NP: np.ndarray, numbers_NP: np.ndarray) -> float:
    """R2 over all columns together, 1 - SSE/SST: 1 if all is right, 0 if it is no better than the mean."""
    sse = np.square(predicted_NP - numbers_NP).sum()
    sst = np.square(numbers_NP - numbers_NP.mean(0)).sum()
    return float(1 - sse / sst)


def skill_of_accuracy(accuracy: float, majority: float) -> float:
    """(accuracy - majority) / (1 - majority): 1 if all is right, 0 if it is no better than to name one class always.

    `majority` is the share of the most frequent class. It is less than 1.
    """
    return (accuracy - majority) / (1 - majority)


def majority_share(labels_N: np.ndarray) -> float:
    """The share of the most frequent class."""
    _, counts = np.unique(labels_N, return_counts=True)
    return float(counts.max() / counts.sum())

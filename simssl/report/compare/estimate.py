"""A mean over seeds with its standard error, and the difference of two methods seed by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """The mean over `n` runs, and its standard error (None for a single run)."""

    mean: float
    stderr: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """The mean of these values, one of each run."""
        n = len(values)
        mean = statistics.fmean(values)
        if n == 1:
            return cls(mean, None, n)
        deviation = statistics.stdev(values)
        stderr = deviation / math.sqrt(n)
        return cls(mean, stderr, n)

    @property
    def ends(self) -> tuple[float, float]:
        """The mean less and more a standard error; the mean itself for a single run."""
        error = self.stderr or 0.0
        return self.mean - error, self.mean + error

    def minus(self, other: Estimate) -> Estimate:
        """The difference of two independent means; without a standard error if one of them has none."""
        mean = self.mean - other.mean
        n = min(self.n, other.n)
        if self.stderr is None or other.stderr is None:
            return Estimate(mean, None, n)
        stderr = math.hypot(self.stderr, other.stderr)
        return Estimate(mean, stderr, n)


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate | None:
    """The mean of ours minus theirs, seed by seed; None if they share no seed.

    Its standard error is that of the paired differences, over the seeds that both have.
    """
    shared = ours.keys() & theirs.keys()
    if not shared:
        return None
    differences = []
    for seed in sorted(shared):
        gap = ours[seed] - theirs[seed]
        differences.append(gap)
    return Estimate.of(differences)

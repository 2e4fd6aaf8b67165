"""A mean with its standard error, over seeds, and the difference of two methods seed by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """The mean over `n` runs and its standard error (None for a single run)."""

    mean: float
    stderr: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        stderr = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
        return cls(statistics.fmean(values), stderr, len(values))

    def minus(self, other: Estimate) -> Estimate:
        """The difference of two independent means; without a standard error if one of them has none."""
        known = self.stderr is not None and other.stderr is not None
        stderr = math.hypot(self.stderr or 0.0, other.stderr or 0.0) if known else None
        return Estimate(self.mean - other.mean, stderr, min(self.n, other.n))


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate | None:
    """The mean of ours minus theirs over the seeds that both have, with the standard error of these paired
    differences; None if they share no seed."""
    seeds = sorted(ours.keys() & theirs.keys())
    return Estimate.of([ours[seed] - theirs[seed] for seed in seeds]) if seeds else None

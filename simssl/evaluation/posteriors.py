"""Posteriors of several batches, on the CPU, and a check of what a model computes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simssl.api import Posterior
from simssl.errors import RunError


def joined(posteriors: Sequence[Posterior]) -> Posterior:
    """The posteriors of several batches as one."""
    means = []
    variances = []
    for posterior in posteriors:
        means.append(posterior.mean)
        if posterior.variance is not None:
            variances.append(posterior.variance)
    mean_ND = torch.cat(means)
    variance_ND = torch.cat(variances) if variances else None
    return Posterior(mean_ND, variance_ND)


def on_cpu(posterior: Posterior) -> Posterior:
    """The posterior in float32, on the CPU."""
    mean = posterior.mean.float().cpu()
    if posterior.variance is None:
        return Posterior(mean, None)
    variance = posterior.variance.float().cpu()
    return Posterior(mean, variance)


def require_finite(values: Tensor, what: str, run: str, among: str = "") -> None:
    """Raise RunError if a row of these values is not finite: how many are, and the run that is to be trained anew.

    `among` are the words for all rows; their number alone if it is empty.
    """
    finite_N = values.flatten(1).isfinite().all(1)
    wrong = int((~finite_N).sum())
    if wrong:
        rows = among or f"{len(values):,}"
        raise RunError(
            f"the {what} of {wrong:,} of {rows} is not finite; train {run} anew with a smaller learning rate"
        )

"""Selective prediction: whether an uncertainty knows which predictions are wrong. N counts images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RiskCoverage:
    """The area under the risk-coverage curve, beside what a random order and the best one have.

    The risk at a coverage is the share of errors among the most certain images that make it up. The area is the mean
    over all coverages 1/N, 2/N, ..., 1 (Geifman et al. 2019, AURC).
    """

    area: float
    random: float
    """The share of errors: a random order has this risk at every coverage, on average."""
    oracle: float
    """The area if the errors were the least certain images."""


def risk_coverage(is_wrong_N: Tensor, uncertainty_N: Tensor) -> RiskCoverage:
    """The area under the risk-coverage curve. Images of the same uncertainty come in a random order, on average."""
    wrong_N = is_wrong_N.double().cpu()  # CUDA has no sums in order that always give the same bits
    area = _area(wrong_N, uncertainty_N.double().cpu())
    return RiskCoverage(area, float(wrong_N.mean()), _area(wrong_N, wrong_N))


def _area(wrong_N: Tensor, uncertainty_N: Tensor) -> float:
    _, level_N = uncertainty_N.unique(return_inverse=True)
    size_L = level_N.bincount().double()
    of_level_L = wrong_N.new_zeros(len(size_L)).index_add_(0, level_N, wrong_N) / size_L
    ordered_N = of_level_L[level_N.sort().values]
    covered_N = torch.arange(1, len(wrong_N) + 1, device=wrong_N.device)
    return float((ordered_N.cumsum(0) / covered_N).mean())


def auroc(is_positive_N: Tensor, score_N: Tensor) -> float | None:
    """The area under the ROC curve: how often a positive has the larger score; None if all images are of one kind."""
    from sklearn.metrics import roc_auc_score

    positive_N = is_positive_N.cpu().numpy()
    if positive_N.all() or not positive_N.any():
        return None
    return float(roc_auc_score(positive_N, score_N.double().cpu().numpy()))


def rank_correlation(one_N: Tensor, other_N: Tensor) -> float | None:
    """Spearman's rank correlation; None if all images have the same of either."""
    from scipy.stats import spearmanr

    if len(one_N.unique()) < 2 or len(other_N.unique()) < 2:
        return None
    return float(spearmanr(one_N.double().cpu().numpy(), other_N.double().cpu().numpy()).statistic)

"""Disentanglement: whether a latent tells of one factor alone, and whether a factor stands in one latent alone.

N counts images, D latents, K factors, A the latents that are active. Each score needs two factors and two latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simssl.blocks.statistics.factors import Factor, binned, majority_share, skill_of_accuracy, skill_of_numbers

TREES, SHARE = 50, 0.5
"""Boosted trees for each number or class of a factor, and the share of the images that each is fitted on. They give the
DCI of scikit-learn's default, twice as many trees on all images, in a quarter of the time."""
NEIGHBOURS = 10
"""Neighbours of the estimate of mutual information. Source: the code of Hsu et al. 2023."""
WEAK = 100
"""The inverse of the penalty of logistic regression. The authors have none, which has no solution for classes that a
plane separates."""
ACTIVE = 1 / 20
"""Share of the largest range over the latents above which a latent is active. Source: the code of Hsu et al. 2023."""


@dataclass(frozen=True)
class Codes:
    """Representations (N, D) of images, and the factors of these images."""

    z_ND: np.ndarray
    factors: Sequence[Factor]


# --- DCI: Eastwood & Williams 2018, section 2 ----------------------------------------------------------------


@dataclass(frozen=True)
class Trees:
    """What trees find: how much each latent matters to each factor, the sum over the latents 1; and how well they
    predict each factor of other images (1: all right, 0: no better than a constant)."""

    importance_DK: np.ndarray
    skill_K: np.ndarray


def fit_trees(fit: Codes, score: Codes, seed: int) -> Trees:
    """Gradient-boosted trees for each factor, fitted on some images and scored on others."""
    importances = []
    skills = []
    for fitted, scored in zip(fit.factors, score.factors, strict=True):
        of_factor = _classify if fitted.has_classes else _regress
        importance_D, skill = of_factor(fit.z_ND, fitted, score.z_ND, scored, seed)
        importances.append(importance_D)
        skills.append(skill)
    return Trees(np.stack(importances, axis=1), np.array(skills))


def _classify(
    fit_ND: np.ndarray, fitted: Factor, score_ND: np.ndarray, scored: Factor, seed: int
) -> tuple[np.ndarray, float]:
    from sklearn.ensemble import GradientBoostingClassifier

    trees = GradientBoostingClassifier(n_estimators=TREES, subsample=SHARE, random_state=seed)
    trees.fit(fit_ND, fitted.values_N)
    accuracy = np.mean(trees.predict(score_ND) == scored.values_N)
    return trees.feature_importances_, skill_of_accuracy(float(accuracy), majority_share(scored.values_N))


def _regress(
    fit_ND: np.ndarray, fitted: Factor, score_ND: np.ndarray, scored: Factor, seed: int
) -> tuple[np.ndarray, float]:
    """Trees for each column; the importance is the mean over the columns."""
    from sklearn.ensemble import GradientBoostingRegressor

    importances = []
    columns = []
    for numbers_N in fitted.numbers_NP.T:
        trees = GradientBoostingRegressor(n_estimators=TREES, subsample=SHARE, random_state=seed)
        trees.fit(fit_ND, numbers_N)
        importances.append(trees.feature_importances_)
        columns.append(trees.predict(score_ND))
    skill = skill_of_numbers(np.stack(columns, axis=1), scored.numbers_NP)
    return np.mean(importances, axis=0), skill


def dci_disentanglement(importance_DK: np.ndarray) -> float:
    """1 - the entropy of each latent's importances over the factors, to the base K; weighted by the latent's share."""
    D, K = importance_DK.shape
    p_DK = _shares(importance_DK, axis=1)
    of_latent_D = 1 - _entropy(p_DK, axis=1) / np.log(K)
    total = importance_DK.sum()
    weight_D = importance_DK.sum(1) / total if total else np.full(D, 1 / D)
    return float(of_latent_D @ weight_D)


def dci_completeness(importance_DK: np.ndarray) -> float:
    """1 - the entropy of each factor's importances over the latents, to the base D; weighted by the factor's share."""
    return dci_disentanglement(importance_DK.T)


def _shares(values: np.ndarray, axis: int) -> np.ndarray:
    """The values divided by their sum along the axis; all alike where they are all 0."""
    total = values.sum(axis, keepdims=True)
    alike = np.full(values.shape, 1 / values.shape[axis])
    return np.divide(values, total, out=alike, where=total > 0)


def _entropy(p: np.ndarray, axis: int) -> np.ndarray:
    """-sum p log p along the axis, in nats."""
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    total: np.ndarray = -(p * logs).sum(axis)
    return total


# --- InfoMEC: Hsu et al. 2023, section 4 -----------------------------------------------------------------------


def is_active(z_ND: np.ndarray) -> np.ndarray:
    """The latents (D,) whose range is more than a twentieth of the largest."""
    range_D = np.ptp(z_ND, axis=0)
    active_D: np.ndarray = range_D > ACTIVE * range_D.max()
    return active_D


def normalised_information(codes: Codes, seed: int) -> np.ndarray:
    """I(latent; factor) / H(factor), (D, K): a factor of numbers is binned, a latent is not (Ross 2014).

    What is no more than twice the most that is found with the factors in a random order counts as 0. The authors keep
    it: the ratios of what is nearly nothing are as large as those of a good representation.
    """
    order_N = np.random.RandomState(seed).permutation(len(codes.z_ND))
    of_others = Codes(codes.z_ND, [factor[order_N] for factor in codes.factors])
    by_chance = 2 * _information(of_others, seed).max()
    information_DK = _information(codes, seed)
    return np.where(information_DK > by_chance, information_DK, 0)


def _information(codes: Codes, seed: int) -> np.ndarray:
    from sklearn.feature_selection import mutual_info_classif

    z_ND = _Standard(codes.z_ND)(codes.z_ND)
    columns = []
    for factor in codes.factors:
        labels_N = factor.labels_N
        information_D = mutual_info_classif(
            z_ND, labels_N, discrete_features=False, n_neighbors=NEIGHBOURS, random_state=seed
        )
        columns.append(information_D / entropy_of_labels(labels_N))
    return np.stack(columns, axis=1)


class _Standard:
    """Columns shifted and scaled to mean 0 and variance 1 on these images; a constant one is not scaled."""

    def __init__(self, z_ND: np.ndarray) -> None:
        self.mean_D = z_ND.mean(0)
        deviation_D = z_ND.std(0)
        self.scale_D = np.where(deviation_D > 0, deviation_D, 1)

    def __call__(self, z_ND: np.ndarray) -> np.ndarray:
        scaled_ND: np.ndarray = (z_ND - self.mean_D) / self.scale_D
        return scaled_ND


def modularity(information_AK: np.ndarray) -> float:
    """InfoM: the share of an active latent's information that is of one factor, 0 if all are alike, 1 if it is all.

    It is the mean over the latents that tell something; 0 if none does.
    """
    K = information_AK.shape[1]
    tells_A = information_AK.sum(1) > 0
    if not tells_A.any():
        return 0.0
    share_A = _shares(information_AK[tells_A], axis=1).max(1)
    return float((share_A.mean() - 1 / K) / (1 - 1 / K))


def compactness(information_AK: np.ndarray) -> float:
    """InfoC: the share of the information about a factor that stands in one active latent, scaled as InfoM is.

    It is the mean over the factors. One that no latent tells of counts as one whose shares are alike.
    """
    A = information_AK.shape[0]
    share_K = _shares(information_AK, axis=0).max(0)
    return float((share_K.mean() - 1 / A) / (1 - 1 / A))


def explicitness(fit: Codes, score: Codes) -> float:
    """InfoE: the information about a factor that a linear model finds, over its entropy; the mean over the factors.

    It is R2 for numbers, and (H - cross entropy) / H for classes. The models are fitted on some images and scored on
    others, where the authors' are scored on the images that they are fitted on. So noise has 0 of many latents, too.
    """
    standard = _Standard(fit.z_ND)
    fit_ND = standard(fit.z_ND)
    score_ND = standard(score.z_ND)
    shares = []
    for fitted, scored in zip(fit.factors, score.factors, strict=True):
        of_factor = _linear_classes if fitted.has_classes else _linear_numbers
        shares.append(of_factor(fit_ND, fitted, score_ND, scored))
    return float(np.mean(shares))


def _linear_numbers(fit_ND: np.ndarray, fitted: Factor, score_ND: np.ndarray, scored: Factor) -> float:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(fit_ND, fitted.numbers_NP)
    return skill_of_numbers(model.predict(score_ND), scored.numbers_NP)


def _linear_classes(fit_ND: np.ndarray, fitted: Factor, score_ND: np.ndarray, scored: Factor) -> float:
    """Of the images whose class occurs among those that are fitted on."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    model = LogisticRegression(C=WEAK, max_iter=1000).fit(fit_ND, fitted.values_N)
    known_N = np.isin(scored.values_N, model.classes_)
    labels_N = scored.values_N[known_N]
    cross_entropy = log_loss(labels_N, model.predict_proba(score_ND[known_N]), labels=model.classes_)
    entropy = entropy_of_labels(labels_N)
    return float((entropy - cross_entropy) / entropy)


# --- MIG: Chen et al. 2018, equation 6 -------------------------------------------------------------------------


def mutual_information_gap(codes: Codes) -> float:
    """The information about a factor of the latent that has most, minus that of the next, over the factor's entropy.

    Latents and factors of numbers are binned. It is the mean over the factors.
    """
    from sklearn.metrics import mutual_info_score

    latents = [binned(z_N) for z_N in codes.z_ND.T]
    gaps = []
    for factor in codes.factors:
        labels_N = factor.labels_N
        information = sorted(mutual_info_score(labels_N, latent_N) for latent_N in latents)
        gap = information[-1] - information[-2]
        gaps.append(gap / entropy_of_labels(labels_N))
    return float(np.mean(gaps))


def entropy_of_labels(labels_N: np.ndarray) -> float:
    """The entropy of the classes' shares, in nats."""
    _, counts = np.unique(labels_N, return_counts=True)
    return float(_entropy(counts / counts.sum(), axis=0))

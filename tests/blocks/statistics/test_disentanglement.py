"""DCI, InfoMEC and MIG: on oracles, noise and permuted factors, and against the published formulas in plain loops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from simssl.blocks.statistics.disentanglement import (
    Codes,
    compactness,
    dci_completeness,
    dci_disentanglement,
    explicitness,
    fit_trees,
    is_active,
    modularity,
    mutual_information_gap,
    normalised_information,
)
from simssl.blocks.statistics.factors import Factor, skill_of_numbers

N = 400


def drawn(images: int = N, seed: int = 0) -> list[Factor]:
    """A shape of four, a position, an angle, and a size that is known in float32."""
    random = np.random.RandomState(seed)
    return [
        Factor(random.randint(0, 4, images)),
        Factor(random.uniform(-1, 1, images)),
        Factor(random.uniform(0, 360, images), period=360),
        Factor(random.uniform(2, 3, images).astype(np.float32)),
    ]


def told(factors: list[Factor]) -> np.ndarray:
    """The numbers of the factors themselves, in another order and to other scales."""
    shape, position, angle, size = (factor.values_N.astype(np.float64) for factor in factors)
    return np.stack([-angle / 120, 0.5 * shape, 5 + size, 2 * position], axis=1)


@dataclass
class Scores:
    d: float
    c: float
    i: float
    infom: float
    infoc: float
    infoe: float
    mig: float


def scores(fit: Codes, score: Codes) -> Scores:
    trees = fit_trees(fit, score, 0)
    active = is_active(score.z_ND)
    information = normalised_information(score, 0)[active]
    return Scores(
        dci_disentanglement(trees.importance_DK),
        dci_completeness(trees.importance_DK),
        float(trees.skill_K.mean()),
        modularity(information),
        compactness(information),
        explicitness(fit, score),
        mutual_information_gap(score),
    )


def test_the_factors_themselves_are_best() -> None:
    fit, score = drawn(), drawn(seed=1)
    found = scores(Codes(told(fit), fit), Codes(told(score), score))
    assert min(found.d, found.c, found.i) > 0.95
    assert min(found.infom, found.infoc) > 0.9
    assert found.mig > 0.8


def test_linear_models_find_what_stands_there_linearly() -> None:
    """An angle by its cosine and sine, a class by a latent each."""

    def linear(factors: list[Factor]) -> np.ndarray:
        return np.concatenate([np.eye(4)[factors[0].values_N], *(factor.numbers_NP for factor in factors[1:])], 1)

    fit, score = drawn(), drawn(seed=1)
    assert explicitness(Codes(linear(fit), fit), Codes(linear(score), score)) > 0.98


@pytest.mark.parametrize("case", ["noise", "permuted"])
def test_noise_and_permuted_factors_fall_to_chance(case: str) -> None:
    fit, score = drawn(), drawn(seed=1)
    random = np.random.RandomState(2)
    if case == "noise":
        found = scores(Codes(random.randn(N, 4), fit), Codes(random.randn(N, 4), score))
    else:
        z = told(fit), told(score)
        order = random.permutation(N), random.permutation(N)
        mixed = [[factor[index] for factor in factors] for factors, index in zip((fit, score), order, strict=True)]
        found = scores(Codes(z[0], mixed[0]), Codes(z[1], mixed[1]))
    assert max(found.d, found.c) < 0.15
    assert found.i < 0.05
    assert found.infoe < 0.05
    assert found.mig < 0.05
    assert max(found.infom, found.infoc) < 0.15


def test_a_rotation_hides_factors_from_single_latents_and_not_from_linear_models() -> None:
    """Of factors that are independent and normal, no direction is better than another."""
    random = np.random.RandomState(0)
    y_NK = random.randn(1000, 4)
    rotation = np.linalg.qr(random.randn(4, 4))[0]
    codes = Codes(y_NK @ rotation, [Factor(y_N) for y_N in y_NK.T])
    found = scores(codes, codes)
    assert found.infoe == pytest.approx(1)
    assert max(found.d, found.c, found.infom, found.infoc, found.mig) < 0.7


# --- the published formulas, in loops ----------------------------------------------------------------------


def published_entropy(p: list[float], base: int) -> float:
    return -sum(value / sum(p) * math.log(value / sum(p), base) for value in p)


def published_disentanglement(importance: np.ndarray) -> float:
    """disentanglement_lib, evaluation/metrics/dci.py: importance (codes, factors), 1e-11 added within the entropy."""
    codes, factors = importance.shape
    total = 0.0
    for i in range(codes):
        row = [importance[i, j] + 1e-11 for j in range(factors)]
        total += (1 - published_entropy(row, factors)) * importance[i].sum() / importance.sum()
    return total


def published_mutual_information(a: list[int], b: list[int]) -> float:
    n, total = len(a), 0.0
    for x in set(a):
        for y in set(b):
            both = sum(1 for p, q in zip(a, b, strict=True) if (p, q) == (x, y)) / n
            if both:
                total += both * math.log(both / (a.count(x) / n) / (b.count(y) / n))
    return total


def published_bins(values: np.ndarray, bins: int = 20) -> list[int]:
    """disentanglement_lib's histogram_discretizer."""
    low, high = float(values.min()), float(values.max())
    return [min(int((float(value) - low) / (high - low) * bins), bins - 1) for value in values]


def test_dci_is_disentanglement_libs() -> None:
    importance = np.random.RandomState(0).dirichlet(np.ones(6) * 0.3, size=4).T
    importance[2] = 0
    assert dci_disentanglement(importance) == pytest.approx(published_disentanglement(importance), abs=1e-8)
    assert dci_completeness(importance) == pytest.approx(published_disentanglement(importance.T), abs=1e-8)


def test_importances_are_those_of_scikit_learns_full_trees() -> None:
    """disentanglement_lib fits 100 trees to all images: half of either gives the same DCI within 0.05."""
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    factors = [factor for factor in drawn() if factor.period is None]
    rotation = np.linalg.qr(np.random.RandomState(1).randn(3, 3))[0]
    z_ND = np.stack([factor.values_N / factor.values_N.std() for factor in factors], 1)
    z_ND = np.concatenate([z_ND @ rotation, z_ND], 1)[:, :4]
    importance = []
    for factor in factors:
        trees = GradientBoostingClassifier if factor.has_classes else GradientBoostingRegressor
        importance.append(trees(random_state=0).fit(z_ND, factor.values_N).feature_importances_)
    ours = fit_trees(Codes(z_ND, factors), Codes(z_ND, factors), 0).importance_DK
    published = np.stack(importance, 1)
    assert dci_disentanglement(ours) == pytest.approx(published_disentanglement(published), abs=0.05)
    assert dci_completeness(ours) == pytest.approx(published_disentanglement(published.T), abs=0.05)


def test_mig_is_disentanglement_libs() -> None:
    factors = [factor for factor in drawn(300) if factor.period is None]
    z_ND = told(drawn(300)) + np.random.RandomState(1).randn(300, 4)
    gaps = []
    for factor in factors:
        labels = factor.values_N.tolist() if factor.has_classes else published_bins(factor.values_N)
        information = sorted(published_mutual_information(published_bins(z_N), labels) for z_N in z_ND.T)
        entropy = published_mutual_information(labels, labels)
        gaps.append((information[-1] - information[-2]) / entropy)
    assert mutual_information_gap(Codes(z_ND, factors)) == pytest.approx(sum(gaps) / len(gaps))


def test_infom_and_infoc_are_the_authors() -> None:
    """Hsu et al. 2023, disentangle/metrics/infomec.py."""
    nmi = np.random.RandomState(0).uniform(size=(3, 5))  # sources, latents
    infom = (np.mean(np.max(nmi, axis=0) / np.sum(nmi, axis=0)) - 1 / 3) / (1 - 1 / 3)
    infoc = (np.mean(np.max(nmi, axis=1) / np.sum(nmi, axis=1)) - 1 / 5) / (1 - 1 / 5)
    assert modularity(nmi.T) == pytest.approx(infom)
    assert compactness(nmi.T) == pytest.approx(infoc)


def test_a_latent_that_tells_nothing_does_not_count_and_a_factor_that_none_tells_does() -> None:
    information = np.array([[0.5, 0.0], [0.0, 0.0]])
    assert (modularity(information), compactness(information)) == pytest.approx((1, 0.5))
    assert (modularity(0 * information), compactness(0 * information)) == pytest.approx((0, 0))


def test_latents_that_hardly_move_are_not_active() -> None:
    z_ND = np.random.RandomState(0).uniform(size=(100, 3)) * np.array([1.0, 0.1, 0.01])
    assert is_active(z_ND).tolist() == [True, True, False]


# --- factors ---------------------------------------------------------------------------------------------------


def test_an_angle_is_near_itself_across_its_end() -> None:
    angle = Factor(np.array([1.0, 359.0, 180.0]), period=360)
    distances = np.linalg.norm(angle.numbers_NP[0] - angle.numbers_NP, axis=1)
    assert distances[1] < 0.05
    assert distances[2] == pytest.approx(2, abs=1e-3)
    assert Factor(np.array([-1.0, 359.0, 719.0]), period=360).labels_N.tolist() == [19, 19, 19]


def test_one_r2_over_cosine_and_sine() -> None:
    angle = Factor(np.linspace(0, 90, 50), period=360).numbers_NP
    predicted = angle + np.random.RandomState(0).randn(50, 2)
    sse = sum((predicted[n, p] - angle[n, p]) ** 2 for n in range(50) for p in range(2))
    sst = sum((angle[n, p] - angle[:, p].mean()) ** 2 for n in range(50) for p in range(2))
    assert skill_of_numbers(predicted, angle) == pytest.approx(1 - sse / sst)

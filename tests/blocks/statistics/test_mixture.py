"""Mixtures of Gaussians: EM against scikit-learn's from the same clusterings, and rows that leave components empty."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from simssl.blocks.statistics import mixture as module
from simssl.blocks.statistics.clustering import kmeans
from simssl.blocks.statistics.mixture import REGULARISATION, Mixture, fit_mixture

K = 4


def clouds(N: int = 700, D: int = 3) -> Tensor:
    """They overlap, and each has a shape of its own."""
    generator = torch.Generator().manual_seed(0)
    centres, shapes = 3 * torch.randn(K, D, generator=generator), torch.randn(K, D, D, generator=generator)
    label_N = torch.randint(K, (N,), generator=generator)
    return (centres[label_N] + (torch.randn(N, 1, D, generator=generator) @ shapes[label_N])[:, 0]).double()


def outlier(x_ND: Tensor) -> Tensor:
    x_ND[0] = 1e4
    return x_ND


HARD = {
    "far away": lambda: 1e5 + clouds(),
    "many columns": lambda: clouds(400, 24),
    "more columns than rows": lambda: clouds(30, 40),
    "columns of zeros": lambda: torch.cat((clouds(), torch.zeros(700, 3)), 1),
    "columns that follow from others": lambda: clouds() @ torch.randn(3, 8).double(),
    "scales": lambda: clouds() * torch.tensor([1e-6, 1, 1e3]).double(),
    "an outlier": lambda: outlier(clouds()),
}


def clusterings(x_ND: Tensor, starts: int) -> list[Tensor]:
    """Rough ones: of the rows nearest to K rows."""
    chosen = [torch.randperm(len(x_ND), generator=torch.Generator().manual_seed(s))[:K] for s in range(starts)]
    return [torch.cdist(x_ND, x_ND[rows_K]).argmin(1) for rows_K in chosen]


def fit_from(clusters: list[Tensor], x_ND: Tensor, monkeypatch: pytest.MonkeyPatch) -> Mixture:
    given = iter(clusters)
    monkeypatch.setattr(module, "kmeans", lambda x_ND, k, generator: (next(given), None))
    return fit_mixture(x_ND, K, len(clusters), torch.Generator())


def reference(cluster_N: Tensor, x_ND: Tensor) -> GaussianMixture:
    """scikit-learn's, from the weights, means and covariances of these clusters."""
    x, cluster = x_ND.numpy(), cluster_N.numpy()
    regularisation = REGULARISATION * x.var(0).mean()
    parts = [x[cluster == k] for k in range(K)]
    covariances = [np.cov(part.T, bias=True) + regularisation * np.eye(x.shape[1]) for part in parts]
    start = {
        "weights_init": np.array([len(part) / len(x) for part in parts]),
        "means_init": np.stack([part.mean(0) for part in parts]),
        "precisions_init": np.linalg.inv(np.stack(covariances)),
    }
    return GaussianMixture(K, reg_covar=regularisation, **start).fit(x)


@pytest.mark.parametrize("together", [1, module.TOGETHER])
@pytest.mark.parametrize("rows", [7, 100, 10_000])
def test_em_is_scikit_learns(rows: int, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one clustering, and from the best of several, in blocks of rows and all at once."""
    monkeypatch.setattr(module, "CACHED", 1)
    monkeypatch.setattr(module, "LEAST", rows)
    monkeypatch.setattr(module, "TOGETHER", together)
    x_ND = clouds(300)
    clusters = clusterings(x_ND, 4)
    references = [reference(cluster_N, x_ND) for cluster_N in clusters]
    assert len({round(fitted.lower_bound_, 3) for fitted in references}) > 1, "the starts end alike"
    best = max(references, key=lambda fitted: fitted.lower_bound_)
    for expected, given in ((references[0], clusters[:1]), (best, clusters)):
        same(fit_from(given, x_ND, monkeypatch), expected, x_ND)


@pytest.mark.parametrize("rows", HARD)
def test_it_is_scikit_learns_on_rows_that_are_hard(rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x_ND = HARD[rows]()
    (cluster_N,) = clusterings(x_ND, 1)
    same(fit_from([cluster_N], x_ND, monkeypatch), reference(cluster_N, x_ND), x_ND)


def same(mixture: Mixture, expected: GaussianMixture, x_ND: Tensor) -> None:
    assert mixture.log_likelihood == pytest.approx(expected.lower_bound_, abs=1e-6)
    assert (mixture.iterations, mixture.converged) == (expected.n_iter_, expected.converged_)
    assert mixture.predict(x_ND).tolist() == expected.predict(x_ND.numpy()).tolist()


def test_it_says_when_it_has_not_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ITERATIONS", 2)
    mixture = fit_mixture(clouds(), K, 3, torch.Generator().manual_seed(0))
    assert (mixture.iterations, mixture.converged) == (2, False)


def test_it_starts_from_k_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """After one iteration its likelihood is that of the Gaussians of the clusters, which are of the best of starts."""
    monkeypatch.setattr(module, "ITERATIONS", 1)
    x_ND = clouds()
    standard_ND = (x_ND - x_ND.mean(0)) / (x_ND - x_ND.mean(0)).square().mean().sqrt()
    generator = torch.Generator().manual_seed(0)
    clusters = [kmeans(standard_ND.float(), K, generator)[0] for _ in range(3)]
    expected = [fit_from([cluster_N], x_ND, monkeypatch).log_likelihood for cluster_N in clusters]
    monkeypatch.setattr(module, "kmeans", kmeans)
    mixture = fit_mixture(x_ND, K, 3, torch.Generator().manual_seed(0))
    assert mixture.log_likelihood == pytest.approx(max(expected), abs=1e-9)
    assert mixture.log_likelihood > fit_from(clusterings(x_ND, 1), x_ND, monkeypatch).log_likelihood


def test_all_chance_is_the_generators() -> None:
    x_ND = clouds()
    before = torch.get_rng_state()
    mixtures = [fit_mixture(x_ND, K, 5, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(mixtures[0].coefficients_KQ, mixtures[1].coefficients_KQ)
    assert not torch.equal(mixtures[0].coefficients_KQ, mixtures[2].coefficients_KQ)


def test_fewer_distinct_rows_than_components() -> None:
    """Components without rows of their own do no harm."""
    x_ND = torch.tensor([[0.0, 1.0], [2.0, 1.0]]).repeat_interleave(20, 0)
    component_N = fit_mixture(x_ND, K, 3, torch.Generator().manual_seed(0)).predict(x_ND)
    first, second = component_N[:20].unique(), component_N[20:].unique()
    assert len(first) == len(second) == 1
    assert first != second

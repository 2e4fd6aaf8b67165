"""k-means on blobs that lie apart, against scikit-learn's, and where clusters run empty."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from simssl.blocks.statistics import clustering as module
from simssl.blocks.statistics.clustering import kmeans, kmeans_plus_plus, nearest_centre


def blobs(k: int = 5, each: int = 60, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    centres = 20 * torch.nn.functional.one_hot(torch.arange(k), 6).double()
    label = torch.arange(k).repeat_interleave(each)[torch.randperm(k * each, generator=generator)]
    return centres[label] + torch.randn(k * each, 6, generator=generator).double(), label


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", range(5))
def test_blobs_are_found_as_scikit_learn_finds_them(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 70)
    x, label = blobs()
    cluster, centres = kmeans(x, 5, seeded(seed))
    reference = KMeans(5, n_init=10, random_state=0).fit(x.numpy())
    assert adjusted_rand_score(label, cluster) == 1
    order = [np.abs(reference.cluster_centers_ - c.numpy()).sum(1).argmin() for c in centres]
    np.testing.assert_allclose(centres.numpy(), reference.cluster_centers_[order], atol=1e-8)


def test_what_it_returns_is_a_fixed_point() -> None:
    """Overlapping clouds: each row is nearest to its own centre, and each centre the mean of its rows."""
    x = torch.randn(500, 3, dtype=torch.float64, generator=seeded())
    cluster, centres = kmeans(x, 7, seeded(1), iterations=200)
    assert torch.equal(cluster, torch.stack([(row - centres).square().sum(1).argmin() for row in x]))
    for k in range(7):
        torch.testing.assert_close(centres[k], x[cluster == k].mean(0))
    inertia = (x - centres[cluster]).square().sum().item()
    assert inertia < 1.1 * KMeans(7, n_init=10, random_state=0).fit(x.numpy()).inertia_


def test_starts_lie_apart() -> None:
    """One in each blob, nearly always: squared distances between blobs are a hundred times those within."""
    x, label = blobs()
    distinct = [len(set(label[nearest_row(x, kmeans_plus_plus(x, 5, seeded(seed)))].tolist())) for seed in range(20)]
    assert sum(d == 5 for d in distinct) >= 15
    uniform = [len(set(label[torch.randperm(300, generator=seeded(s))[:5]].tolist())) for s in range(20)]
    assert sum(d == 5 for d in uniform) < 5


def nearest_row(x: Tensor, centres: Tensor) -> Tensor:
    return nearest_centre(centres, x)


def test_all_chance_comes_from_the_generator() -> None:
    x = torch.randn(200, 3, generator=seeded())
    before = torch.get_rng_state()
    assert torch.equal(kmeans(x, 9, seeded(1))[0], kmeans(x, 9, seeded(1))[0])
    assert not torch.equal(kmeans(x, 9, seeded(1))[1], kmeans(x, 9, seeded(2))[1])
    assert torch.equal(before, torch.get_rng_state())


def test_a_centre_without_rows_takes_part_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two centres start far from every row; they end with rows of their own."""
    x, _ = blobs(k=3)
    monkeypatch.setattr(module, "kmeans_plus_plus", lambda x, k, generator: torch.cat([x[:1], x[:2] + 1e3]))
    cluster, _ = kmeans(x, 3, seeded())
    assert set(cluster.tolist()) == {0, 1, 2}


def test_rows_that_are_all_alike() -> None:
    cluster, centres = kmeans(torch.ones(50, 2), 4, seeded())
    assert bool(centres.isfinite().all())
    assert bool(((cluster >= 0) & (cluster < 4)).all())

"""RankMe, LiDAR and alpha-ReQ against plain loops and spectra that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from simssl.blocks.statistics.spectra import alpha_req, label_free, lidar, rankme


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def perplexity(spectrum: np.ndarray) -> float:
    p = spectrum / spectrum.sum() + 1e-7
    return math.exp(-sum(value * math.log(value) for value in p))


def with_covariance(eigenvalues: np.ndarray, rows: int) -> Tensor:
    """Rows whose covariance has exactly these eigenvalues, in a turned basis, about a mean far from 0."""
    D = len(eigenvalues)
    columns = normal(rows, D)
    orthogonal = torch.linalg.qr(columns - columns.mean(0)).Q * rows**0.5
    turned = torch.linalg.qr(normal(D, D, seed=1)).Q
    return orthogonal * torch.from_numpy(eigenvalues).sqrt() @ turned + 3


def test_rankme_is_that_of_the_singular_values() -> None:
    z_ND = normal(50, 6) * torch.tensor([1.0, 2, 3, 0.1, 0.01, 1]) + 5
    expected = perplexity(np.linalg.svd(z_ND.numpy(), compute_uv=False))
    assert rankme(z_ND) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_rankme_counts_equal_directions(rank: int) -> None:
    z_ND = torch.zeros(800, 8, dtype=torch.float64)
    z_ND[:, :rank] = torch.eye(rank).repeat(800 // rank + 1, 1)[:800]
    assert rankme(z_ND) == pytest.approx(rank, rel=1e-3)


def test_lidar_is_that_of_a_plain_loop() -> None:
    scale = torch.tensor([3.0, 1, 0.5, 0.1])
    z_IJD = normal(30, 1, 4) * scale + 0.3 * normal(30, 5, 4, seed=1)
    rows = z_IJD.numpy()
    means = rows.mean(1)
    between, within = np.zeros((4, 4)), 1e-4 * np.eye(4)
    for i in range(30):
        between += np.outer(means[i] - means.mean(0), means[i] - means.mean(0)) / 30
        for j in range(5):
            within += np.outer(rows[i, j] - means[i], rows[i, j] - means[i]) / 150
    values, vectors = np.linalg.eigh(within)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    expected = perplexity(np.linalg.eigvalsh(root @ between @ root))
    assert lidar(z_IJD) == pytest.approx(expected, rel=1e-9)


def test_lidar_counts_what_tells_images_apart() -> None:
    """Directions in which views vary as much as images count little, whatever their scale; RankMe counts them all."""
    of_images = normal(2000, 1, 6) * torch.tensor([1.0, 1, 1, 0, 0, 0])
    of_views = normal(2000, 10, 6, seed=1) * torch.tensor([0.03, 0.03, 0.03, 1, 1, 1])
    z_IJD = of_images + of_views
    assert lidar(z_IJD) == pytest.approx(3, rel=0.02)
    assert rankme(z_IJD.flatten(0, 1)) > 5.5


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8, 1e18])
def test_numbers_of_any_size_have_a_rank(scale: float) -> None:
    """Though some directions do not vary at all."""
    z_IJD = scale * (normal(20, 1, 6) + 0.1 * normal(20, 4, 6, seed=1)) * torch.tensor([1.0, 1, 1, 1, 0, 0])
    for value in (lidar(z_IJD), rankme(z_IJD.flatten(0, 1))):
        assert 1 <= value < 5


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("dimensions", [6, 40, 150])
def test_alpha_req_is_the_exponent_of_a_power_law(alpha: float, dimensions: int) -> None:
    eigenvalues = np.arange(1.0, dimensions + 1) ** -alpha
    assert alpha_req(with_covariance(eigenvalues, 400)) == pytest.approx(alpha, rel=1e-6)


def test_alpha_req_is_a_weighted_fit_to_the_eigenvalues_4_to_100() -> None:
    """As in the authors' code (its range 3 to 99 counts from 0), by numpy's polynomials, of the weights' roots."""
    ranks = np.arange(1.0, 131)
    eigenvalues = ranks**-1.0 * (1 + 0.5 * np.sin(ranks))
    eigenvalues = np.sort(eigenvalues)[::-1].copy()
    fitted = slice(3, 100)
    slope, _ = np.polyfit(np.log(ranks[fitted]), np.log(eigenvalues[fitted]), 1, w=ranks[fitted] ** -0.5)
    assert alpha_req(with_covariance(eigenvalues, 400)) == pytest.approx(-slope, rel=1e-6)


def test_what_has_no_number_says_why() -> None:
    measures = label_free(torch.zeros(20, 5), torch.zeros(20, 3, 5))
    assert {name for name, measure in measures.items() if math.isnan(measure.value)} == {"rankme", "alpha_req", "lidar"}
    assert measures["lidar"].reason == "all images have the same representation"
    assert "fewer than three" in measures["alpha_req"].reason
    assert "lidar" not in label_free(torch.zeros(20, 5), None)

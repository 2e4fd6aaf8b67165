"""Penalties on variances and covariances, against plain loops and where their value is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from simssl.blocks.losses.redundancy import covariance_penalty, cross_correlation, variance_hinge


def slow_hinge(z_BD: Tensor) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for column in z_BD.T:
        mean = sum(column) / len(column)
        variance = sum((value - mean) ** 2 for value in column) / (len(column) - 1)
        deviation = (variance + 1e-4) ** 0.5
        if deviation < 1:
            total = total + (1 - deviation)
    return total / z_BD.shape[1]


def slow_covariance(z_BD: Tensor) -> Tensor:
    B, D = z_BD.shape
    total = torch.zeros((), dtype=torch.float64)
    for d in range(D):
        for e in range(D):
            means = sum(z_BD[:, d]) / B, sum(z_BD[:, e]) / B
            if d != e:
                products = sum((z_BD[b, d] - means[0]) * (z_BD[b, e] - means[1]) for b in range(B))
                total = total + (products / (B - 1)) ** 2
    return total / D


@pytest.mark.parametrize(("fast", "slow"), [(variance_hinge, slow_hinge), (covariance_penalty, slow_covariance)])
def test_against_loops_with_gradient(fast: object, slow: object) -> None:
    z = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = (z * torch.tensor([0.3, 0.7, 1.0, 3.0])).requires_grad_()
    ours, reference = fast(z), slow(z)  # type: ignore[operator]
    assert reference.item() > 0
    torch.testing.assert_close(ours, reference)
    torch.testing.assert_close(torch.autograd.grad(ours, z), torch.autograd.grad(reference, z))


def test_what_is_not_punished() -> None:
    """Columns of deviation 1 and more, orthogonal to one another."""
    z = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]).double()
    assert variance_hinge(z).item() == 0
    assert covariance_penalty(z).item() == 0


def test_a_column_twice() -> None:
    """var = cov = 4/3, both off-diagonals: 2 (4/3)^2 over two dimensions."""
    z = torch.tensor([[1.0, 1], [1, 1], [-1, -1], [-1, -1]]).double()
    assert covariance_penalty(z).item() == pytest.approx((4 / 3) ** 2)


def test_autocast_does_not_round_the_covariances() -> None:
    z = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = covariance_penalty(z)
    assert torch.equal(under_autocast, covariance_penalty(z))


def test_correlations_of_two_views_against_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    za, zb = torch.randn(2, 6, 3, dtype=torch.float64, generator=generator).requires_grad_()
    reference = []
    for p in range(3):
        for q in range(3):
            a = za[:, p] - sum(za[:, p]) / 6
            b = zb[:, q] - sum(zb[:, q]) / 6
            product = sum(x * y for x, y in zip(a, b, strict=True)) / 6
            deviations = ((sum(a**2) / 6 + 1e-5) * (sum(b**2) / 6 + 1e-5)) ** 0.5
            reference.append(product / deviations)
    torch.testing.assert_close(cross_correlation(za, zb).flatten(), torch.stack(reference))


def test_correlations_of_a_view_with_itself_scaled_shifted_and_negated() -> None:
    z = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]).double()
    identity = torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(cross_correlation(z, 3 * z + 5), identity, atol=1e-5, rtol=0)
    torch.testing.assert_close(cross_correlation(z, -z), -identity, atol=1e-5, rtol=0)


def test_a_column_without_variance_is_correlated_with_nothing() -> None:
    z = torch.ones(4, 2, dtype=torch.float64)
    assert cross_correlation(z, z).abs().max() == 0

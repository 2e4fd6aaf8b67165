"""Codes by Sinkhorn-Knopp, and the swapped cross entropy, against plain loops and where their values are known."""

from __future__ import annotations

import pytest
import torch
from references import slow_sinkhorn
from torch import Tensor

from simssl.blocks.losses.clusters import sinkhorn, swapped_cross_entropy


def scores(B: int = 7, K: int = 4) -> Tensor:
    return torch.rand(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("iterations", [1, 3, 10])
def test_sinkhorn_against_loops(iterations: int) -> None:
    torch.testing.assert_close(sinkhorn(scores(), 0.05, iterations), slow_sinkhorn(scores(), 0.05, iterations))


def test_rows_sum_to_one_and_columns_to_equal_shares() -> None:
    codes = sinkhorn(scores(), 0.5, 100)
    torch.testing.assert_close(codes.sum(1), torch.ones(7, dtype=torch.float64))
    torch.testing.assert_close(codes.sum(0), torch.full((4,), 7 / 4, dtype=torch.float64))


def test_prototypes_that_all_prefer_are_shared_out() -> None:
    """Equal rows tell nothing apart: each has an equal part of all prototypes, however much they prefer one."""
    codes = sinkhorn(scores(1).expand(6, 4), 0.05, 3)
    torch.testing.assert_close(codes, torch.full((6, 4), 1 / 4, dtype=torch.float64))


def test_a_small_epsilon_gives_the_assignment_with_the_largest_sum() -> None:
    """Two rows, both nearer to the first prototype: the one that loses less takes the second."""
    codes = sinkhorn(torch.tensor([[1.0, 0.0], [1.0, 0.8]]), 0.05, 300)
    torch.testing.assert_close(codes, torch.eye(2), atol=0.01, rtol=0)


def test_a_tiny_epsilon_is_finite_in_float32() -> None:
    codes = sinkhorn(scores().float(), 1e-3, 3)
    assert codes.isfinite().all()
    torch.testing.assert_close(codes.sum(1), torch.ones(7))


def test_codes_have_no_gradient() -> None:
    assert not sinkhorn(scores().requires_grad_(), 0.05, 3).requires_grad


@pytest.mark.parametrize("small", [0, 3])
def test_swapped_cross_entropy_against_loops(small: int) -> None:
    """Two views with codes, and some that are only predicted from: each code meets all views but its own."""
    generator = torch.Generator().manual_seed(1)
    logits = [torch.randn(5, 4, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2 + small)]
    codes = [torch.rand(5, 4, dtype=torch.float64, generator=generator) for _ in range(2)]
    total = torch.zeros((), dtype=torch.float64)
    for c in range(2):
        for v in range(2 + small):
            if v == c:
                continue
            for b in range(5):
                exponentials = [logits[v][b, k].exp() for k in range(4)]
                for k in range(4):
                    total = total - codes[c][b, k] * (exponentials[k] / sum(exponentials)).log()
    expected = total / 5 / (2 * (1 + small))
    ours = swapped_cross_entropy(codes, logits)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(expected, logits))

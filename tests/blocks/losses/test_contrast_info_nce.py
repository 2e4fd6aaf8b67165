"""InfoNCE against plain loops, and at the cases whose value is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from simssl.blocks.losses.contrast import info_nce


def slow_info_nce(za_BD: Tensor, zb_BD: Tensor, similarity: str, temperature: float) -> Tensor:
    def score(a: Tensor, b: Tensor) -> Tensor:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        if similarity == "cosine":
            dot = dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
        return dot / temperature

    B, total = len(za_BD), torch.zeros((), dtype=torch.float64)
    for i in range(B):
        rows = sum(score(za_BD[i], zb_BD[k]).exp() for k in range(B))
        columns = sum(score(za_BD[k], zb_BD[i]).exp() for k in range(B))
        total = total - 2 * score(za_BD[i], zb_BD[i]) + rows.log() + columns.log()
    return total / (2 * B)


@pytest.mark.parametrize(("similarity", "temperature"), [("dot", 1.0), ("dot", 0.7), ("cosine", 0.2)])
def test_against_loops_with_gradient(similarity: str, temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    za, zb = (torch.randn(5, 3, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2))
    fast = info_nce(za, zb, similarity, temperature)  # type: ignore[arg-type]
    slow = slow_info_nce(za, zb, similarity, temperature)
    torch.testing.assert_close(fast, slow)
    for ours, reference in zip(torch.autograd.grad(fast, (za, zb)), torch.autograd.grad(slow, (za, zb)), strict=True):
        torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_orthonormal_and_collapsed_representations(similarity: str, temperature: float) -> None:
    orthonormal, collapsed = torch.eye(4), torch.ones(4, 3)
    expected = math.log(1 + 3 * math.exp(-1 / temperature))
    loss = info_nce(orthonormal, orthonormal, similarity, temperature).item()  # type: ignore[arg-type]
    assert loss == pytest.approx(expected, abs=1e-5)
    loss = info_nce(collapsed, collapsed, similarity, temperature).item()  # type: ignore[arg-type]
    assert loss == pytest.approx(math.log(4), abs=1e-5)


def test_only_the_cosine_ignores_lengths() -> None:
    za, zb = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(info_nce(2 * za, zb, "cosine", 0.5), info_nce(za, 3 * zb, "cosine", 0.5))
    torch.testing.assert_close(info_nce(2 * za, zb, "dot", 1.0), info_nce(za, zb, "dot", 0.5))
    assert not torch.isclose(info_nce(2 * za, zb, "dot", 1.0), info_nce(za, zb, "dot", 1.0))


def test_autocast_does_not_round_the_similarities() -> None:
    za, zb = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = info_nce(za, zb, "dot", 1.0)
    assert torch.equal(under_autocast, info_nce(za, zb, "dot", 1.0))

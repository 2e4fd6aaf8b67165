"""Methods with small views against plain loops over all pairs of views, value and gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from references import assert_same_gradient, build, loss, views
from torch import Tensor

from simssl.blocks.losses import random_directions, sigreg, sinkhorn

pytestmark = pytest.mark.usefixtures("float64")
B, SMALL = 5, 3


def sizes() -> tuple[Tensor, Tensor]:
    """Two views of 8 x 8 and three of 4 x 4, of each of five images."""
    small = torch.rand(B, SMALL, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return views(B, 2), small


def each_view(x: tuple[Tensor, Tensor], encode: Any) -> list[Tensor]:
    """What `encode` makes of each view (B, C, H, W), the large ones first."""
    return [encode(x_BCHW) for of_one_size in x for x_BCHW in of_one_size.unbind(1)]


def cross_entropy(p_BK: Tensor, logits_BK: Tensor) -> Tensor:
    return -(p_BK * (logits_BK - logits_BK.logsumexp(1, keepdim=True))).sum() / B


def over_pairs(targets: list[Tensor], scores: list[Tensor]) -> Tensor:
    """The mean cross entropy of each large view's target with each other view, at temperature 0.1."""
    pairs = []
    for j, p_BK in enumerate(targets):
        pairs += [cross_entropy(p_BK, s_BK / 0.1) for v, s_BK in enumerate(scores) if v != j]
    assert len(pairs) == 2 * (1 + SMALL)
    return torch.stack(pairs).mean()


def test_dino() -> None:
    objective, x = build("dino", K=4, head=(6, 3), small_views=SMALL), sizes()
    objective.centre.copy_(torch.tensor([0.3, -0.1, 0.0, 0.2]))
    students = each_view(x, lambda x: objective.prototypes(objective.head(objective.encoder(x))))
    teachers = [objective.teacher(x_BCHW) for x_BCHW in x[0].unbind(1)]
    targets = [((t_BK - objective.centre) / 0.04).softmax(1) for t_BK in teachers]
    expected = over_pairs(targets, students)
    ours = loss(objective, x).loss["cross_entropy"]
    torch.testing.assert_close(ours, expected)
    assert_same_gradient(objective, ours, expected)


def test_swav() -> None:
    objective, x = build("swav", K=4, head=(3,), frozen_epochs=0, small_views=SMALL), sizes()
    z_V = each_view(x, lambda x: objective.head(objective.encoder(x)))
    scores = [F.normalize(z_BP, dim=1) @ objective.prototypes.T for z_BP in z_V]
    codes = [sinkhorn(scores_BK.detach(), 0.05, 3) for scores_BK in scores[:2]]
    expected = over_pairs(codes, scores)
    ours = loss(objective, x).loss["cross_entropy"]
    torch.testing.assert_close(ours, expected)
    assert_same_gradient(objective, ours, expected)


def test_lejepa() -> None:
    """The mean is that of the large views; all views are drawn to it, and each of them is to be normal."""
    objective, x = build("lejepa", directions=4, head=(3,), lambda_=0.3, small_views=SMALL), sizes()
    z_V = each_view(x, lambda x: objective.head(objective.encoder(x)))
    mean_BP = (z_V[0] + z_V[1]) / 2
    directions_PM = random_directions(z_V[0], 4, torch.Generator().manual_seed(7))
    distance = sum(((z_BP - mean_BP) ** 2).mean() for z_BP in z_V) / len(z_V)
    normality = sum(sigreg(z_BP, directions_PM) for z_BP in z_V) / len(z_V)
    terms = loss(objective, x, seed=7).loss
    torch.testing.assert_close(terms["invariance"], 0.7 * distance)
    torch.testing.assert_close(terms["sigreg"], 0.3 * normality)
    assert_same_gradient(objective, sum(terms.values()), 0.7 * distance + 0.3 * normality)

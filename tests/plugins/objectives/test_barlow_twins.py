"""Barlow Twins against plain loops, and where its terms are known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from references import assert_same_gradient, build, loss, views
from torch import Tensor

pytestmark = pytest.mark.usefixtures("float64")


def slow_barlow_twins(za_BP: Tensor, zb_BP: Tensor) -> dict[str, Tensor]:
    """The authors' code, value by value."""
    B, P = za_BP.shape
    terms = {name: torch.zeros((), dtype=torch.float64) for name in ("invariance", "redundancy")}
    for p in range(P):
        for q in range(P):
            a = za_BP[:, p] - sum(za_BP[:, p]) / B
            b = zb_BP[:, q] - sum(zb_BP[:, q]) / B
            scale_a = (sum(a**2) / B + 1e-5) ** 0.5
            scale_b = (sum(b**2) / B + 1e-5) ** 0.5
            C = sum(a[i] / scale_a * b[i] / scale_b for i in range(B)) / B
            if p == q:
                terms["invariance"] = terms["invariance"] + (1 - C) ** 2
            else:
                terms["redundancy"] = terms["redundancy"] + 0.0051 * C**2
    return terms


def projections(objective: Any, x_BJCHW: Tensor) -> list[Tensor]:
    return [objective.layers(x_BCHW)["projection"] for x_BCHW in x_BJCHW.unbind(1)]


def test_against_loops() -> None:
    objective, x = build("barlow_twins", head=(6, 2)), views(5, 2)
    terms = loss(objective, x).loss
    reference = slow_barlow_twins(*projections(objective, x))
    assert terms.keys() == reference.keys()
    for name, value in reference.items():
        assert value.item() > 0
        torch.testing.assert_close(terms[name], value)
    assert_same_gradient(objective, sum(terms.values()), sum(reference.values()))


def terms_of(za: list[list[float]], zb: list[list[float]], **params: float) -> dict[str, float]:
    """The terms of these projections, whatever the images."""
    objective = build("barlow_twins", **params)
    passes = iter((torch.tensor(za).double(), torch.tensor(zb).double()))
    objective.project = lambda _: next(passes)
    return {name: value.item() for name, value in loss(objective, views(len(za), 2)).loss.items()}


APART = [[1.0, 1], [1, -1], [-1, 1], [-1, -1]]
"""Two columns that are not correlated."""
TWICE = [[1.0, 1], [1, 1], [-1, -1], [-1, -1]]
"""Two columns that are one."""


def test_equal_views_of_uncorrelated_dimensions_cost_nothing() -> None:
    assert sum(terms_of(APART, APART).values()) == pytest.approx(0, abs=1e-8)


def test_collapsed_views_are_correlated_with_nothing() -> None:
    collapsed = [[0.7, 0.7]] * 4
    assert terms_of(collapsed, collapsed) == {"invariance": 2, "redundancy": 0}


def test_a_dimension_twice_costs_lambda_for_each_pair() -> None:
    terms = terms_of(TWICE, TWICE, lambda_=0.5)
    assert terms["invariance"] == pytest.approx(0, abs=1e-8)
    assert terms["redundancy"] == pytest.approx(0.5 * 2, rel=1e-4)


def test_opposite_views_cost_four_a_dimension() -> None:
    opposite = [[-value for value in row] for row in APART]
    assert terms_of(APART, opposite)["invariance"] == pytest.approx(2 * 4, rel=1e-4)


def test_scale_multiplies_all() -> None:
    plain, scaled = terms_of(TWICE, APART), terms_of(TWICE, APART, scale=0.1)
    assert scaled == pytest.approx({name: 0.1 * value for name, value in plain.items()})

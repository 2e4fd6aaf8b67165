"""SimSiam against plain loops, its stopped gradient, and its monitor of collapse."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from references import build, loss, views
from torch import Tensor, nn

pytestmark = pytest.mark.usefixtures("float64")


def cosine(a_P: Tensor, b_P: Tensor) -> Tensor:
    return (a_P * b_P).sum() / ((a_P**2).sum() * (b_P**2).sum()) ** 0.5


def slow_simsiam(objective: Any, x_BJCHW: Tensor) -> Tensor:
    projections = [objective.layers(x_BCHW)["projection"] for x_BCHW in x_BJCHW.unbind(1)]
    total = torch.zeros((), dtype=torch.float64)
    for j in (0, 1):
        prediction, target = objective.predictor(projections[j]), projections[1 - j].detach()
        for b in range(len(x_BJCHW)):
            total = total - cosine(prediction[b], target[b]) / 2
    return total / len(x_BJCHW)


def test_against_loops() -> None:
    objective, x = build("simsiam", head=(6, 5), predictor=(4,)), views(6, 2)
    ours = loss(objective, x).loss["prediction"]
    expected = slow_simsiam(objective, x)
    torch.testing.assert_close(ours, expected)
    parameters = list(objective.parameters())
    pairs = (torch.autograd.grad(value, parameters, retain_graph=True) for value in (ours, expected))
    for gradient, reference in zip(*pairs, strict=True):
        torch.testing.assert_close(gradient, reference)


def test_without_the_stopped_gradient_it_is_another() -> None:
    """The reference tells the two apart: the targets' gradient is left out, and would not be zero."""
    module = importlib.import_module(type(build("simsiam")).__module__)
    prediction, target = torch.randn(2, 4, 3, dtype=torch.float64).requires_grad_().unbind(0)
    assert torch.autograd.grad(module.negative_cosine(prediction, target), target, allow_unused=True) == (None,)


def test_a_prediction_in_the_direction_of_its_target_is_least() -> None:
    module = importlib.import_module(type(build("simsiam")).__module__)
    z = torch.randn(4, 3)
    assert module.negative_cosine(3 * z, z).item() == pytest.approx(-1)
    assert module.negative_cosine(-z, z).item() == pytest.approx(1)


def test_the_head_ends_in_batch_norm_and_the_predictor_does_not() -> None:
    objective = build("simsiam", head=(7, 5), predictor=(6,))
    *_, last, norm = objective.head
    assert isinstance(last, nn.Linear)
    assert last.bias is None
    assert isinstance(norm, nn.BatchNorm1d)
    assert (norm.num_features, norm.affine) == (5, False)
    assert [m.num_features for m in objective.predictor if isinstance(m, nn.BatchNorm1d)] == [6]
    assert isinstance(objective.predictor[-1], nn.Linear)


def test_spread_tells_collapse_from_directions_at_random() -> None:
    module = importlib.import_module(type(build("simsiam")).__module__)
    assert module.spread(torch.ones(1000, 64)) < 1e-3
    assert 0.95 < module.spread(torch.randn(1000, 64)) <= 1
    assert "spread" in loss(build("simsiam"), views(6, 2)).monitor

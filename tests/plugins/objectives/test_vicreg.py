"""VICReg against plain loops, and where its terms are known."""

from __future__ import annotations

import math

import pytest
import torch
from references import assert_same_gradient, build, loss, views
from torch import Tensor

from simssl.api import Objective

pytestmark = pytest.mark.usefixtures("float64")


def slow_vicreg(za_BP: Tensor, zb_BP: Tensor) -> dict[str, Tensor]:
    """The authors' code, value by value."""
    B, P = za_BP.shape
    zero = torch.zeros((), dtype=torch.float64)
    invariance = sum(((za_BP[b, p] - zb_BP[b, p]) ** 2 for b in range(B) for p in range(P)), zero) / (B * P)
    variance, covariance = zero, zero
    for z in (za_BP, zb_BP):
        centred = z - sum(z[b] for b in range(B)) / B
        for p in range(P):
            deviation = (sum(centred[b, p] ** 2 for b in range(B)) / (B - 1) + 0.0001) ** 0.5
            variance = variance + torch.clamp(1 - deviation, min=0) / P / 2
            for q in range(P):
                if p != q:
                    covariance = covariance + (sum(centred[b, p] * centred[b, q] for b in range(B)) / (B - 1)) ** 2 / P
    return {"invariance": 25 * invariance, "variance": 25 * variance, "covariance": covariance}


def test_against_loops() -> None:
    objective, x = build("vicreg", head=(8, 3)), views(5, 2)
    terms = loss(objective, x).loss
    reference = slow_vicreg(*(objective.layers(x[:, j])["projection"] for j in (0, 1)))
    assert terms.keys() == reference.keys()
    for name, value in reference.items():
        assert value.item() > 0
        torch.testing.assert_close(terms[name], value)
    assert_same_gradient(objective, sum(terms.values()), sum(reference.values()))


def project(objective: Objective, z: Tensor) -> None:
    """Replaces the networks, so that the projections of both views of any images are these: (B, 2, P)."""
    objective.encoder = torch.nn.Identity()
    objective.head = type("Fixed", (torch.nn.Module,), {"forward": lambda self, x: z.flatten(0, 1)})()


def terms_of(z: Tensor) -> dict[str, float]:
    objective = build("vicreg")
    project(objective, z)
    return {name: value.item() for name, value in loss(objective, views(len(z), 2)).loss.items()}


def test_collapsed_representations() -> None:
    """No variance at all: 25/2 (1 - sqrt(1e-4)) for each view, 24.75 in all; nothing else to punish."""
    terms = terms_of(torch.full((6, 2, 3), 0.7).double())
    assert terms["variance"] == pytest.approx(25 * (1 - math.sqrt(1e-4)))
    assert terms["invariance"] == terms["covariance"] == 0


def test_identical_orthogonal_views_of_deviation_one_cost_nothing() -> None:
    """Columns +-1 with unbiased variance 4/3, orthogonal."""
    z = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]).double()
    assert terms_of(z[:, None].expand(4, 2, 2)) == {"invariance": 0, "variance": 0, "covariance": 0}


def test_dimensions_that_repeat_one_another() -> None:
    """cov = 4/3 twice off the diagonal, over 2 dimensions, in both views: 2 (4/3)^2."""
    z = torch.tensor([[1.0, 1], [1, 1], [-1, -1], [-1, -1]]).double()
    assert terms_of(z[:, None].expand(4, 2, 2))["covariance"] == pytest.approx(2 * (4 / 3) ** 2)


def test_views_one_apart_in_every_dimension() -> None:
    z = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert terms_of(torch.stack([z, z + 1], dim=1))["invariance"] == pytest.approx(25)


def test_the_weights_are_those_of_the_terms() -> None:
    plain, x = build("vicreg"), views(4, 2)
    weighted = build("vicreg", invariance=2, variance=3, covariance=5)
    expected = {"invariance": 2 / 25, "variance": 3 / 25, "covariance": 5}
    for name, value in loss(plain, x).loss.items():
        torch.testing.assert_close(loss(weighted, x).loss[name], expected[name] * value)


def test_statistics_are_of_every_process_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """With gathered rows standing for another process's, the loss is the one over both batches."""
    import importlib

    objective, x, others = build("vicreg", head=(8, 3)), views(4, 2), views(4, 2).flip(0)
    z = [objective.layers(torch.cat([x, others])[:, j])["projection"] for j in (0, 1)]
    rows = iter(z)
    monkeypatch.setattr(importlib.import_module(type(objective).__module__), "gather", lambda _: next(rows))
    terms = loss(objective, x).loss
    for name, value in slow_vicreg(*z).items():
        torch.testing.assert_close(terms[name], value)


def test_representation_is_the_encoders_output() -> None:
    objective, x = build("vicreg"), views(4, 1)[:, 0]
    torch.testing.assert_close(objective.posterior(x).mean, objective.encoder(x))
    assert objective.layers(x)["projection"].shape == (4, 256)

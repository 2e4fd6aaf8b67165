"""Spectral contrastive learning against plain loops, and its bound on the projections' lengths."""

from __future__ import annotations

import importlib

import pytest
import torch
from references import assert_same_gradient, build, loss, views
from torch import Tensor

pytestmark = pytest.mark.usefixtures("float64")


def slow_spectral(za_BP: Tensor, zb_BP: Tensor, mu: float) -> dict[str, Tensor]:
    """The authors' code, value by value."""
    B = len(za_BP)
    za, zb = ([slow_shortened(z_P, mu) for z_P in z_BP] for z_BP in (za_BP, zb_BP))
    attraction = repulsion = torch.zeros((), dtype=torch.float64)
    for i in range(B):
        attraction = attraction - 2 * (za[i] * zb[i]).sum() / B
        for k in range(B):
            if k != i:
                repulsion = repulsion + (za[i] * zb[k]).sum() ** 2 / (B * (B - 1))
    return {"attraction": attraction / mu, "repulsion": repulsion / mu}


def slow_shortened(z_P: Tensor, mu: float) -> Tensor:
    length = (z_P**2).sum() ** 0.5
    return z_P if length < mu**0.5 else z_P / length * mu**0.5


@pytest.mark.parametrize("mu", [0.1, 1.0, 10.0])
def test_against_loops(mu: float) -> None:
    """Where all projections are cut, some of them, and none."""
    objective, x = build("spectral_contrastive", mu=mu, head=(8, 3)), views(5, 2)
    terms = loss(objective, x).loss
    z_BJP = objective.layers(x.flatten(0, 1))["projection"].unflatten(0, (5, 2))
    reference = slow_spectral(z_BJP[:, 0], z_BJP[:, 1], mu)
    assert terms.keys() == reference.keys()
    for name, value in reference.items():
        torch.testing.assert_close(terms[name], value)
    assert_same_gradient(objective, sum(terms.values()), sum(reference.values()))


def test_only_what_is_too_long_is_shortened() -> None:
    module = importlib.import_module(type(build("spectral_contrastive")).__module__)
    z = torch.tensor([[0.3, 0.4], [3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    short = module.shortened(z, 2.0)
    torch.testing.assert_close(short, torch.tensor([[0.3, 0.4], [1.2, 1.6], [0.0, 0.0]]))
    (gradient,) = torch.autograd.grad(short.sum(), z)
    assert gradient.isfinite().all()


def test_the_least_loss_is_that_of_orthogonal_images_of_the_largest_length() -> None:
    """-2 mu / mu, whatever mu."""
    objective = build("spectral_contrastive", mu=3.0)
    z_BJP = (5 * torch.eye(4, dtype=torch.float64))[:, None].expand(4, 2, 4)
    objective.project_views = lambda _: z_BJP
    terms = loss(objective, views(4, 2)).loss
    assert terms["attraction"].item() == pytest.approx(-2)
    assert terms["repulsion"].item() == 0

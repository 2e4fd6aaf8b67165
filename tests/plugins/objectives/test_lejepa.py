"""LeJEPA against plain loops, for several numbers of views, and where its terms are known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from references import assert_same_gradient, build, loss, views
from torch import Tensor, nn

from simssl.api import views_of
from simssl.blocks.losses import random_directions

pytestmark = pytest.mark.usefixtures("float64")


def slow_lejepa(z_BJP: Tensor, directions_PM: Tensor, lambda_: float) -> dict[str, Tensor]:
    B, J, P = z_BJP.shape
    invariance = sigreg = torch.zeros((), dtype=torch.float64)
    for b in range(B):
        mean_P = sum(z_BJP[b, j] for j in range(J)) / J
        for j in range(J):
            invariance = invariance + ((z_BJP[b, j] - mean_P) ** 2).sum() / (B * J * P)
    M = directions_PM.shape[1]
    for j in range(J):
        for m in range(M):
            x_B = [(z_BJP[b, j] * directions_PM[:, m]).sum() for b in range(B)]
            sigreg = sigreg + slow_epps_pulley(x_B) / (J * M)
    return {"invariance": (1 - lambda_) * invariance, "sigreg": lambda_ * sigreg}


def slow_epps_pulley(x_B: list[Tensor]) -> Tensor:
    """The authors' quadrature: 17 knots of [0, 3], the outer ones half, all doubled."""
    B = len(x_B)
    total = torch.zeros((), dtype=torch.float64)
    for k in range(17):
        t = 3 * k / 16
        normal = math.exp(-(t**2) / 2)
        real = sum((t * x).cos() for x in x_B) / B - normal
        imaginary = sum((t * x).sin() for x in x_B) / B
        weight = (1 if k in (0, 16) else 2) * 3 / 16
        total = total + weight * normal * (real**2 + imaginary**2)
    return B * total


@pytest.mark.parametrize("J", [1, 2, 3])
def test_against_loops(J: int) -> None:
    objective, x = build("lejepa", J=J, lambda_=0.3, directions=4, head=(6, 3)), views(5, J)
    terms = loss(objective, x, seed=7).loss
    z_BJP = objective.layers(x.flatten(0, 1))["projection"].unflatten(0, (5, J))
    directions_PM = random_directions(z_BJP.flatten(0, 1), 4, torch.Generator().manual_seed(7))
    reference = slow_lejepa(z_BJP, directions_PM, 0.3)
    assert terms.keys() == reference.keys()
    for name, value in reference.items():
        torch.testing.assert_close(terms[name], value)
    assert_same_gradient(objective, sum(terms.values()), sum(reference.values()))


def test_directions_are_drawn_anew_from_the_generator() -> None:
    objective, x = build("lejepa", directions=2), views(5, 2)
    first, again, other = (loss(objective, x, seed).loss["sigreg"].item() for seed in (7, 7, 8))
    assert first == again != other


def test_the_number_of_views_is_the_files() -> None:
    objective = build("lejepa", J=5)
    assert views_of(type(objective), objective.params) == ("random",) * 5


class Returns(nn.Module):
    """A head that returns these projections, whatever it is given."""

    def __init__(self, z_MP: Tensor) -> None:
        super().__init__()
        self.z_MP = z_MP

    def forward(self, z_MD: Tensor) -> Tensor:
        return self.z_MP


def terms_of(z_BJP: Tensor, **params: Any) -> dict[str, float]:
    objective = build("lejepa", J=z_BJP.shape[1], **params)
    objective.head = Returns(z_BJP.flatten(0, 1))
    terms = loss(objective, views(*z_BJP.shape[:2])).loss
    return {name: value.item() for name, value in terms.items()}


def test_equal_views_of_normal_images_against_collapsed_ones() -> None:
    normal = torch.randn(128, 1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).expand(128, 3, 6)
    collapsed = torch.zeros(128, 3, 6, dtype=torch.float64)
    kept, lost = terms_of(normal, directions=64), terms_of(collapsed, directions=64)
    assert kept["invariance"] == pytest.approx(0, abs=1e-12)
    assert lost["invariance"] == 0
    assert lost["sigreg"] > 20 * kept["sigreg"]


def test_the_views_distance_is_the_mean_square_from_their_mean() -> None:
    """Views one above and one below their image's mean, in every dimension: 1, times 1 - lambda."""
    z = torch.randn(8, 1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert terms_of(torch.cat([z - 1, z + 1], dim=1), lambda_=0.2)["invariance"] == pytest.approx(0.8)

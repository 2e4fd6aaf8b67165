"""The distance of a batch from N(0, I): against sums value by value, and where its expectation is known."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from simssl.blocks.losses.normality import epps_pulley, random_directions, sigreg


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def directions(D: int, count: int) -> Tensor:
    return random_directions(normal(1, D), count, torch.Generator().manual_seed(5))


def slow_statistic(x_B: Tensor) -> Tensor:
    """By complex numbers: B times the integral over [-3, 3] as sums of trapezia on 33 knots."""
    B = len(x_B)
    knots = [-3 + 6 * k / 32 for k in range(33)]
    heights = []
    for t in knots:
        phi = sum(torch.exp(1j * t * x) for x in x_B) / B
        heights.append((phi - math.exp(-(t**2) / 2)).abs() ** 2 * math.exp(-(t**2) / 2))
    return B * sum((a + b) / 2 * 6 / 32 for a, b in itertools.pairwise(heights))


def test_against_loops_with_gradient() -> None:
    z = normal(6, 3).requires_grad_()
    directions_DM = directions(3, 4)
    projected = z @ directions_DM
    reference = sum(slow_statistic(projected[:, m]) for m in range(4)) / 4
    ours = sigreg(z, directions_DM)
    torch.testing.assert_close(ours, reference)
    torch.testing.assert_close(torch.autograd.grad(ours, z), torch.autograd.grad(reference, z))


def test_a_gradient_of_its_gradient_is_refused() -> None:
    """It would lack a part: the gradient is computed on the way, without a graph."""
    z = normal(6, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(sigreg(z, directions(3, 4)).square(), z, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.square().sum().backward()


def expectation() -> float:
    """B E|phi_B(t) - phi(t)|^2 is 1 - phi(t)^2 for samples of N(0, 1), whatever B: its integral, by the same rule."""
    t = torch.linspace(-3, 3, 33, dtype=torch.float64)
    return float(torch.trapezoid((1 - (-t.square()).exp()) * (-t.square() / 2).exp(), t))


@pytest.mark.parametrize("B", [10, 200])
def test_a_normal_sample_has_its_expectation(B: int) -> None:
    statistics = epps_pulley(normal(B, 2000))
    error = float(statistics.std()) / 2000**0.5
    assert abs(float(statistics.mean()) - expectation()) < 4 * error


def test_a_collapsed_batch_is_far() -> None:
    """All in one point at the origin: B integral (1 - phi)^2 phi, which grows with the batch."""
    t = torch.linspace(-3, 3, 33, dtype=torch.float64)
    phi = (-t.square() / 2).exp()
    expected = 200 * torch.trapezoid((1 - phi).square() * phi, t)
    collapsed = sigreg(torch.zeros(200, 5, dtype=torch.float64), directions(5, 8))
    torch.testing.assert_close(collapsed, expected)
    assert collapsed > 50 * expectation()


@pytest.mark.parametrize("change", ["scaled", "shifted", "one dimension twice", "uniform"])
def test_what_is_not_normal_is_farther_than_what_is(change: str) -> None:
    z = normal(500, 4)
    others = {
        "scaled": 2 * z,
        "shifted": z + 1,
        "one dimension twice": z[:, [0, 1, 2, 2]],
        "uniform": 2 * 3**0.5 * (torch.special.ndtr(z) - 0.5),
    }
    directions_DM = directions(4, 64)
    assert sigreg(others[change], directions_DM) > 1.5 * sigreg(z, directions_DM)


def test_directions_are_of_length_one_and_point_everywhere() -> None:
    drawn = directions(3, 3000)
    torch.testing.assert_close(drawn.norm(dim=0), torch.ones(3000, dtype=torch.float64))
    second_moments = drawn @ drawn.T / 3000
    torch.testing.assert_close(second_moments, torch.eye(3, dtype=torch.float64) / 3, atol=0.03, rtol=0)


def test_autocast_does_not_round() -> None:
    z = normal(8, 3).float()
    directions_DM = directions(3, 4).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = sigreg(z, directions_DM)
    assert torch.equal(under_autocast, sigreg(z, directions_DM))

"""NT-Xent against plain loops, and at the cases whose value is known."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from simssl.blocks.losses.contrast import nt_xent, spectral_contrast


def slow_nt_xent(za_BD: Tensor, zb_BD: Tensor, temperature: float) -> Tensor:
    z = [*za_BD, *zb_BD]
    B, total = len(za_BD), torch.zeros((), dtype=torch.float64)
    for i in range(2 * B):
        score = [F.cosine_similarity(z[i], z[k], dim=0) / temperature for k in range(2 * B)]
        rest = torch.stack([score[k] for k in range(2 * B) if k != i])
        total = total - score[(i + B) % (2 * B)] + rest.exp().sum().log()
    return total / (2 * B)


def test_against_loops_with_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    za, zb = (torch.randn(5, 3, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2))
    fast, slow = nt_xent(za, zb, 0.5), slow_nt_xent(za, zb, 0.5)
    torch.testing.assert_close(fast, slow)
    for ours, reference in zip(torch.autograd.grad(fast, (za, zb)), torch.autograd.grad(slow, (za, zb)), strict=True):
        torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_collapsed_and_orthogonal_representations(temperature: float) -> None:
    collapsed = torch.ones(4, 3)
    assert nt_xent(collapsed, collapsed, temperature).item() == pytest.approx(math.log(7), abs=1e-5)
    orthogonal = torch.eye(4)
    expected = math.log(math.exp(1 / temperature) + 6) - 1 / temperature
    assert nt_xent(orthogonal, orthogonal, temperature).item() == pytest.approx(expected, abs=1e-5)


def test_autocast_does_not_round_the_similarities() -> None:
    za, zb = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = nt_xent(za, zb, 0.1)
    assert torch.equal(under_autocast, nt_xent(za, zb, 0.1))


def test_spectral_contrast_against_loops_with_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    za, zb = (torch.randn(5, 3, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2))
    attraction = repulsion = torch.zeros((), dtype=torch.float64)
    for i in range(5):
        attraction = attraction - 2 * (za[i] * zb[i]).sum() / 5
        for k in range(5):
            if k != i:
                repulsion = repulsion + (za[i] * zb[k]).sum() ** 2 / 20
    ours = spectral_contrast(za, zb)
    torch.testing.assert_close(ours, (attraction, repulsion))
    gradients = torch.autograd.grad(sum(ours), (za, zb))
    torch.testing.assert_close(gradients, torch.autograd.grad(attraction + repulsion, (za, zb)))


def test_spectral_contrast_is_a_factorisation() -> None:
    """Two equal views: B attraction + B (B - 1) repulsion is |I - Z Z^T|^2 but for the diagonal's 1 and fourth powers.

    On the diagonal (1 - |z_i|^2)^2 = 1 - 2 |z_i|^2 + |z_i|^4; beside it the squares are those of Z Z^T.
    """
    B = 6
    z = torch.randn(B, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    attraction, repulsion = spectral_contrast(z, z)
    residual = (torch.eye(B, dtype=torch.float64) - z @ z.T).square().sum()
    fourth_powers = z.square().sum(1).square().sum()
    torch.testing.assert_close(B * attraction + B * (B - 1) * repulsion, residual - B - fourth_powers)


def test_spectral_contrast_of_orthonormal_images_is_least() -> None:
    """Each image has a direction of its own: attraction -2, and nothing to repel."""
    attraction, repulsion = spectral_contrast(torch.eye(4), torch.eye(4))
    assert attraction.item() == -2
    assert repulsion.item() == 0

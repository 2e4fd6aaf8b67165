"""The supervised contrastive loss against plain loops, and its cases that are another loss."""

from __future__ import annotations

import math

import pytest
import torch
from references import build, loss, views
from torch import Tensor

from simssl.blocks.losses import nt_xent, sup_con


def slow_sup_con(z_ND: Tensor, groups: list[int], temperature: float) -> Tensor:
    """Khosla et al. 2020, eq. 2, view by view."""
    N = len(groups)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(N):
        similarity = [torch.cosine_similarity(z_ND[i], z_ND[k], dim=0) / temperature for k in range(N)]
        others = [similarity[k].exp() for k in range(N) if k != i]
        positives = [p for p in range(N) if p != i and groups[p] == groups[i]]
        for p in positives:
            total = total - torch.log(similarity[p].exp() / sum(others)) / len(positives)
    return total / N


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_against_loops_with_gradient(temperature: float) -> None:
    z_ND = torch.randn(9, 4, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))
    groups = [0, 0, 1, 1, 1, 0, 2, 2, 1]
    ours = sup_con(z_ND, torch.tensor(groups), temperature)
    reference = slow_sup_con(z_ND, groups, temperature)
    torch.testing.assert_close(ours, reference)
    (gradient,) = torch.autograd.grad(ours, z_ND)
    (expected,) = torch.autograd.grad(reference, z_ND)
    torch.testing.assert_close(gradient, expected)


def test_two_views_of_images_that_are_each_a_group_are_nt_xent() -> None:
    z_B2D = torch.randn(6, 2, 5, dtype=torch.float64)
    group_N = torch.arange(6).repeat_interleave(2)
    za_BD, zb_BD = z_B2D.unbind(1)
    torch.testing.assert_close(sup_con(z_B2D.flatten(0, 1), group_N, 0.3), nt_xent(za_BD, zb_BD, 0.3))


def test_collapsed_representations_have_the_entropy_of_a_blind_guess() -> None:
    z_ND = torch.ones(8, 3, dtype=torch.float64)
    assert sup_con(z_ND, torch.arange(8) // 4, 0.1).item() == pytest.approx(math.log(7))


def test_without_groups_the_method_is_simclr() -> None:
    """It takes the index of an image for its group, on the same weights."""
    x_BJCHW = views(4, 2)
    supcon, simclr = build("supcon", temperature=0.5), build("simclr")
    supcon.load_state_dict(simclr.state_dict())
    torch.testing.assert_close(loss(supcon, x_BJCHW).loss["sup_con"], loss(simclr, x_BJCHW).loss["nt_xent"])


def test_members_of_a_group_attract_each_other() -> None:
    """The gradient of one view points to the others of its group, of whichever image they are."""
    z_ND = torch.eye(4, dtype=torch.float64, requires_grad=True)
    sup_con(z_ND, torch.tensor([0, 0, 1, 1]), 0.5).backward()
    assert z_ND.grad is not None
    assert z_ND.grad[0, 1] < 0 < z_ND.grad[0, 2]

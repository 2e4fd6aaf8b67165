"""Spread, effective rank, alignment and uniformity against plain loops, closed forms and scipy."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.stats import f_oneway
from torch import Tensor

from simssl.blocks.statistics.geometry import (
    alignment,
    effective_rank,
    most_variance_ratio,
    rows_differ,
    uniformity,
    variance_ratio,
    variances_of_groups,
    variances_within_and_between,
    varying_columns,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_ratio_is_that_of_an_analysis_of_variance() -> None:
    """within / between = MSW / ((MSB - MSW) / J) = J / (F - 1)."""
    z_IJD = normal(40, 6, 3) + 2 * normal(40, 1, 3, seed=1)
    F_D = torch.from_numpy(f_oneway(*z_IJD.numpy()).statistic)
    torch.testing.assert_close(variance_ratio(*variances_within_and_between(z_IJD), 40, 6), 6 / (F_D - 1))


def test_within_and_between_are_unbiased_and_add_up() -> None:
    """Over many small samples, of two views of three images each."""
    z_SIJD = normal(4000, 3, 2, 1) * 3**0.5 + normal(4000, 3, 1, 1, seed=1)
    estimates = torch.stack([torch.stack(variances_within_and_between(z_IJD)) for z_IJD in z_SIJD])[..., 0]
    assert estimates.mean(0).tolist() == pytest.approx([3, 1], rel=0.1)
    assert (estimates[:, 1] < 0).any()


def test_the_ratio_is_held_where_nothing_differs_between_images() -> None:
    within, between = torch.tensor([1.0, 1, 0, 0]), torch.tensor([0.0, -0.3, 2, 0])
    ratio = variance_ratio(within, between, 201, 5)
    most = most_variance_ratio(201, 5)
    assert ratio[:3].tolist() == pytest.approx([most, most, 0])
    assert ratio[3].isnan()


@pytest.mark.parametrize("views", [2, 3, 10])
def test_the_ratio_is_held_at_what_chance_gives(views: int) -> None:
    """At one standard deviation of the variance between images, where they do not differ; over many samples."""
    z_ISJ = normal(50, 4000, views).transpose(1, 2)
    _, between = variances_within_and_between(z_ISJ)
    assert between.std().item() == pytest.approx(1 / most_variance_ratio(50, views), rel=0.05)


def test_columns_that_are_constant_but_for_rounding_do_not_vary() -> None:
    z_ND = torch.cat([torch.full((9, 1), 0.1) + 1e-8 * normal(9, 1), 0.1 + 1e-3 * normal(9, 1), torch.zeros(9, 1)], 1)
    assert varying_columns(z_ND.float()).tolist() == [False, True, False]


def test_alignment_and_uniformity_are_plain_loops() -> None:
    z_IJD = normal(5, 3, 4)
    f = z_IJD / z_IJD.norm(dim=2, keepdim=True)
    pairs = [(f[i, a] - f[i, b]).norm() ** 2 for i in range(5) for a, b in itertools.combinations(range(3), 2)]
    assert alignment(z_IJD) == pytest.approx(torch.stack(pairs).mean().item())
    potentials = [
        math.exp(-2 * (f[i, j] - f[k, j]).norm().item() ** 2)
        for j in range(3)
        for i, k in itertools.combinations(range(5), 2)
    ]
    assert uniformity(z_IJD) == pytest.approx(math.log(sum(potentials) / len(potentials)))


def test_uniformity_in_blocks_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    z_IJD = normal(9, 2, 4)
    whole = uniformity(z_IJD)
    monkeypatch.setattr("simssl.blocks.statistics.geometry.BLOCK", 4)
    assert uniformity(z_IJD) == pytest.approx(whole)


def test_uniformity_of_a_point_and_of_opposite_points() -> None:
    assert uniformity(torch.ones(4, 2, 3)) == pytest.approx(0, abs=1e-9)
    assert uniformity(torch.tensor([[[1.0]], [[-1.0]]])) == pytest.approx(-8)


def test_effective_rank_of_known_singular_values() -> None:
    directions_ND = torch.linalg.qr(normal(200, 5) - normal(200, 5).mean(0)).Q
    assert effective_rank(directions_ND) == pytest.approx(5, rel=0.02)
    assert effective_rank(normal(200, 1) @ normal(1, 5, seed=1)) == pytest.approx(1)
    centred = torch.cat([torch.eye(2), -torch.eye(2)]).double() * torch.tensor([3.0, 1.0])
    assert effective_rank(centred + 7) == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))


def test_rotation_and_scale_change_nothing() -> None:
    z_IJD = normal(50, 4, 5) * torch.arange(1, 6) + 3 * normal(50, 1, 5, seed=1)
    turned = 4 * z_IJD @ torch.linalg.qr(normal(5, 5, seed=2)).Q
    for measure in (alignment, uniformity, lambda z: effective_rank(z.flatten(0, 1))):
        assert measure(turned) == pytest.approx(measure(z_IJD))
    totals = [torch.stack(variances_within_and_between(z)).sum(1) for z in (z_IJD, turned)]
    torch.testing.assert_close(totals[1], 16 * totals[0])


def test_rounding_is_no_variation() -> None:
    constant = torch.full((10, 3), 5.0)
    assert not rows_differ(constant + 1e-7 * normal(10, 3).float())
    assert not rows_differ(torch.zeros(10, 3))
    assert rows_differ(constant + 1e-3 * normal(10, 3).float())


def uneven(sizes: list[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows of two columns in groups of these sizes, in a random order: variance 3 within groups, and 1 between them."""
    group_N = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    group_N = group_N[torch.randperm(len(group_N), generator=torch.Generator().manual_seed(seed))]
    of_groups = normal(len(sizes), 2, seed=seed + 1)
    return of_groups[group_N] + 3**0.5 * normal(len(group_N), 2, seed=seed + 2), 10 * group_N + 7


def test_groups_of_uneven_sizes_against_a_plain_loop() -> None:
    """Searle et al. 1992, section 3.6; the F statistic is scipy's."""
    z_ND, group_N = uneven([1, 2, 5, 9, 30])
    N, G = len(z_ND), 5
    found = variances_of_groups(z_ND, group_N)
    parts = [z_ND[group_N == number] for number in group_N.unique()]
    mean = z_ND.mean(0)
    within = sum(((row - part.mean(0)) ** 2 for part in parts for row in part), torch.zeros(2)) / (N - G)
    among = sum((len(part) * (part.mean(0) - mean) ** 2 for part in parts), torch.zeros(2)) / (G - 1)
    n = (N - sum(len(part) ** 2 for part in parts) / N) / (G - 1)
    torch.testing.assert_close(found.within_D, within.double())
    torch.testing.assert_close(found.between_D, (among - within).double() / n)
    F_D = torch.from_numpy(f_oneway(*[part.numpy() for part in parts]).statistic)
    torch.testing.assert_close(among / within, F_D)
    assert (found.groups, found.images, found.alone) == (5, 47, 1)


def test_groups_of_one_size_are_views_of_images() -> None:
    z_IJD = normal(40, 6, 3) + 2 * normal(40, 1, 3, seed=1)
    group_N = torch.arange(40).repeat_interleave(6)
    found = variances_of_groups(z_IJD.flatten(0, 1), group_N)
    within_D, between_D = variances_within_and_between(z_IJD)
    torch.testing.assert_close(found.within_D, within_D)
    torch.testing.assert_close(found.between_D, between_D)
    torch.testing.assert_close(found.ratio_D, variance_ratio(within_D, between_D, 40, 6))
    assert found.most == pytest.approx(most_variance_ratio(40, 6))


def test_variances_of_uneven_groups_are_unbiased() -> None:
    estimates = []
    for seed in range(0, 6000, 3):
        found = variances_of_groups(*uneven([1, 2, 2, 6], seed))
        estimates.append(torch.stack([found.within_D, found.between_D]))
    assert torch.stack(estimates).mean((0, 2)).tolist() == pytest.approx([3, 1], rel=0.1)


def test_groups_that_say_nothing_are_held_at_chance() -> None:
    z_ND, group_N = normal(300, 4), torch.arange(300) % 7
    found = variances_of_groups(z_ND, group_N)
    assert found.within_D.mean().item() == pytest.approx(1, rel=0.1)
    assert found.most / 3 < found.ratio <= found.most + 1e-9


def test_groups_without_two_images_or_without_another_group_are_refused() -> None:
    with pytest.raises(ValueError, match="no two images are of one group"):
        variances_of_groups(normal(5, 2), torch.arange(5))
    with pytest.raises(ValueError, match="all images are of one group"):
        variances_of_groups(normal(5, 2), torch.zeros(5).long())

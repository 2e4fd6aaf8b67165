"""Nearest neighbours against scikit-learn's in float64, where float32 sees no difference, and in small banks."""

from __future__ import annotations

import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from simssl.blocks.statistics import neighbours
from simssl.blocks.statistics.neighbours import nearest_rows


def draw(rows: int, D: int, seed: int) -> Tensor:
    return torch.randn(rows, D, generator=torch.Generator().manual_seed(seed))


def by_scikit_learn(queries_QD: Tensor, bank_ND: Tensor, k: int) -> Tensor:
    search = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(bank_ND.double().numpy())
    return torch.from_numpy(search.kneighbors(queries_QD.double().numpy(), return_distance=False))


@pytest.mark.parametrize("k", [1, 7, 20])
@pytest.mark.parametrize("rows", [20, 33, 64, 1000])
def test_they_are_scikit_learns(rows: int, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 70)
    queries, bank = draw(150, 5, 0), draw(rows, 5, 1)
    assert torch.equal(nearest_rows(queries, bank, k), by_scikit_learn(queries, bank, k))


def alike() -> Tensor:
    """A hundred rows on a sphere around 0, but for millionths of its radius; one row far away makes products large, and
    their rounding."""
    direction = torch.nn.functional.normalize(draw(100, 8, 0), dim=1)
    rows = direction * (1 + 1e-6 * torch.randperm(100, generator=torch.Generator().manual_seed(1)))[:, None]
    return torch.cat([rows, torch.full((1, 8), 3e3)])


def test_rows_that_float32_cannot_tell_apart_are_told_apart() -> None:
    bank, query = alike(), torch.zeros(1, 8)
    offsets = (bank - bank.mean(0)).double() - (query - bank.mean(0)).double()
    expected = offsets.square().sum(1).topk(5, largest=False).indices
    in_float32 = (bank.square().sum(1) - 2 * bank @ query[0]).topk(5, largest=False).indices
    assert torch.equal(nearest_rows(query, bank, 5)[0], expected)
    assert not torch.equal(in_float32, expected)


def test_only_what_float32_is_not_sure_of_is_compared_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    whole = neighbours._Bank._nearest_in_float64

    def count(bank: neighbours._Bank, queries_QD: Tensor, k: int) -> Tensor:
        compared.append(len(queries_QD))
        return whole(bank, queries_QD, k)

    monkeypatch.setattr(neighbours._Bank, "_nearest_in_float64", count)
    nearest_rows(draw(50, 16, 0), draw(2000, 16, 1), 10)
    assert sum(compared) == 0
    nearest_rows(torch.zeros(3, 8), alike(), 5)
    assert sum(compared) == 3


def test_neither_a_far_origin_nor_a_scale_changes_them() -> None:
    queries, bank = draw(50, 4, 0).round(decimals=2), draw(300, 4, 1).round(decimals=2)
    expected = nearest_rows(queries.double(), bank.double(), 5)
    assert torch.equal(nearest_rows(queries * 1024, bank * 1024, 5), nearest_rows(queries, bank, 5))
    assert torch.equal(nearest_rows(queries.double() + 1e6, bank.double() + 1e6, 5), expected)


def test_rows_that_are_all_the_same_have_neighbours_too() -> None:
    near = nearest_rows(torch.ones(5, 3), torch.ones(100, 3), 10)
    assert near.shape == (5, 10)
    assert all(len(set(row)) == 10 for row in near.tolist())

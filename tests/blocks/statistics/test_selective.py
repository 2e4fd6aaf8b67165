"""The risk-coverage curve against a plain loop, the best order and a random one; AUROC and rank correlation."""

from __future__ import annotations

import itertools

import pytest
import torch

from simssl.blocks.statistics.selective import auroc, rank_correlation, risk_coverage


def slow_area(wrong: list[int], uncertainty: list[float]) -> float:
    """The mean over all orders that the uncertainty allows."""
    areas = []
    for order in itertools.permutations(range(len(wrong))):
        values = [uncertainty[n] for n in order]
        if values == sorted(values):
            risks = [sum(wrong[n] for n in order[:covered]) / covered for covered in range(1, len(wrong) + 1)]
            areas.append(sum(risks) / len(risks))
    return sum(areas) / len(areas)


@pytest.mark.parametrize("uncertainty", [[0.1, 3.0, -2.0, 5.0, 1.0], [1.0, 1.0, 0.0, 0.0, 1.0], [2.0] * 5])
def test_the_area_is_the_mean_risk_over_all_orders_of_images_alike(uncertainty: list[float]) -> None:
    wrong = [1, 0, 0, 1, 1]
    curve = risk_coverage(torch.tensor(wrong).bool(), torch.tensor(uncertainty))
    assert curve.area == pytest.approx(slow_area(wrong, uncertainty))
    assert curve.oracle == pytest.approx(slow_area(wrong, [float(each) for each in wrong]))
    assert curve.random == pytest.approx(0.6)


def test_what_knows_the_errors_is_the_oracle_and_what_knows_nothing_is_random() -> None:
    generator = torch.Generator().manual_seed(0)
    wrong_N = torch.rand(5000, generator=generator) < 0.2
    knows = risk_coverage(wrong_N, wrong_N + 0.5 * torch.rand(5000, generator=generator))
    assert knows.area == pytest.approx(knows.oracle)
    noise = risk_coverage(wrong_N, torch.rand(5000, generator=generator))
    assert noise.area == pytest.approx(noise.random, abs=0.02)
    assert risk_coverage(wrong_N, torch.ones(5000)).area == pytest.approx(noise.random)


def test_auroc_counts_pairs() -> None:
    is_positive = torch.tensor([True, False, True, False, False])
    score = torch.tensor([3.0, 1.0, 1.0, 0.0, 2.0])
    pairs = [(a, b) for a in score[is_positive].tolist() for b in score[~is_positive].tolist()]
    assert auroc(is_positive, score) == pytest.approx(sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs))
    assert auroc(torch.ones(3).bool(), torch.rand(3)) is None


def test_rank_correlation_is_of_ranks() -> None:
    x = torch.linspace(-1, 1, 20)
    assert rank_correlation(x, x**3) == pytest.approx(1)
    assert rank_correlation(x, -x.exp()) == pytest.approx(-1)
    assert rank_correlation(x, torch.ones(20)) is None

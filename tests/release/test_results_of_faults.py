"""What docs/tables.md says that each fault of the release does is what its archive has, seed by seed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simssl.report.archive import read_archive
from simssl.report.compare import estimate as compare
from simssl.report.numbers import signed
from simssl.report.runs import Run

ROOT = Path(__file__).parents[2]
RUNS = read_archive(ROOT / "docs" / "results" / "release-mnist.csv")
PAGE = (ROOT / "docs" / "tables.md").read_text()
LINES = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| `(.+)` \|$", PAGE, re.MULTILINE)

NONE = "gaussian, 0.5, 0.0"
"""Likelihood, threshold and vertical flips of the rows without a fault."""


def accuracies(views: int, likelihood: str, threshold: str, flips: str, entropy: str = "right") -> dict[int, float]:
    """kNN by seed, of the VAE (one view) or SimVAE with so many views."""
    values = {}
    for run in RUNS:
        if described(run) == (views, likelihood, threshold, flips, entropy):
            values[run.settings["seed"]] = run.metrics["knn/class/accuracy"]["value"]
    assert sorted(values) == [0, 1, 2]
    return values


def described(run: Run) -> tuple[object, ...]:
    objective, views = run.settings["objective"], run.settings["views"]
    threshold, flips = views["finish"]["threshold"], views["vertical_flip"]
    entropy = objective.get("entropy", "right")
    return objective.get("J", 1), objective["likelihood"], str(threshold), str(flips), entropy


def difference(ours: dict[int, float], theirs: dict[int, float]) -> str:
    estimate = compare.difference(ours, theirs)
    assert estimate
    return signed(estimate, "fraction", estimate.n)


@pytest.mark.parametrize(("fault", "vae", "simvae", "between", "setting"), LINES, ids=[line[0] for line in LINES])
def test_a_fault_does_what_the_page_says(fault: str, vae: str, simvae: str, between: str, setting: str) -> None:
    views, _, rest = setting.partition(": ")
    ours = accuracies(int(views), *rest.split(", "))
    theirs = accuracies(1, *rest.split(", "))
    without = accuracies(10, *NONE.split(", ")), accuracies(1, *NONE.split(", "))
    assert simvae == difference(ours, without[0])
    assert vae == difference(theirs, without[1])
    assert between == difference(ours, theirs)


def test_the_page_has_every_fault_of_the_objective_and_the_views() -> None:
    assert len(LINES) == 9

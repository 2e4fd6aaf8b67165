"""Differences from a method: seed by seed, at equal budgets alone, and said where there are none."""

from __future__ import annotations

import json
import statistics

import pytest
from fake_runs import metric
from reports import KNN, Command, Write

MINUS = "\N{MINUS SIGN}"


def test_differences_from_a_row_are_taken_seed_by_seed(simssl: Command, run: Write) -> None:
    """Seeds move both methods alike, so their difference has a smaller standard error than either."""
    values = {"simvae": [0.90, 0.94, 0.99], "vae": [0.89, 0.92, 0.96], "simclr": [0.95, 0.97]}
    for name, by_seed in values.items():
        for seed, value in enumerate(by_seed):
            run(f"{name}{seed}", {KNN: metric(value)}, objective={"name": name}, seed=seed)
    run("other", {KNN: metric(0.5)}, name="another", objective={"name": "vae"})
    records = json.loads(simssl("report", "runs", "--relative-to", "simvae", "--format", "json").stdout)["metrics"]
    of = {(r["experiment"], r["method"]): (r["difference"], r["difference_stderr"]) for r in records}
    assert of["e", "simvae"] == of["another", "vae"] == (None, None)
    assert of["e", "vae"] == pytest.approx((-0.02, statistics.stdev([0.01, 0.02, 0.03]) / 3**0.5))
    assert of["e", "simclr"] == pytest.approx((0.04, 0.01))
    text = simssl("report", "runs", "--relative-to", "simvae").stdout
    assert "(\N{MINUS SIGN}0.020±0.006)" in text
    assert "(+0.040±0.010)" in text
    assert "in brackets the difference from simvae, seed by seed" in text


def test_differences_are_taken_at_equal_budgets_alone(simssl: Command, run: Write) -> None:
    """A short and a long run of the same file lie in one folder; each method is compared with its like."""
    for views, vae, simvae in ((1000, 0.1, 0.3), (2000, 0.2, 0.7)):
        run(f"v{views}", {KNN: metric(vae)}, objective={"name": "vae"}, training={"views": views, "lr": 1})
        run(f"s{views}", {KNN: metric(simvae)}, training={"views": views, "lr": 2})
    run("alone", {KNN: metric(0.2)}, objective={"name": "simclr"}, training={"views": 3000})
    text = simssl("report", "runs", "--relative-to", "vae").stdout
    assert "(+0.200)" in text
    assert "(+0.500)" in text
    assert "simclr views=3000: no difference, since no row of vae shares its data, views and budget" in text


def test_no_difference_is_said_and_no_caption_speaks_of_one(run: Write, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)})
    run("b", {KNN: metric(0.6)}, objective={"name": "vae"}, seed=1)
    run("c", None, objective={"name": "simclr"})
    text = simssl("report", "runs", "--relative-to", "vae").stdout
    assert "simvae: no difference, since vae shares no seed and metric with it" in text
    assert "in brackets" not in text
    text = simssl("report", "runs", "--relative-to", "simclr").stdout
    assert "simvae: no difference, since simclr is not measured" in text
    assert "in brackets" not in text


def test_no_row_to_take_differences_from_is_said(simssl: Command, run: Write) -> None:
    run("a", {KNN: metric(0.5)})
    result = simssl("report", "runs", "--relative-to", "simclr")
    assert result.exit_code == 2
    assert "no row is called 'simclr'; --relative-to takes one of: simvae\n" in result.stderr


def test_the_names_of_methods_and_of_rows_are_told(simssl: Command, run: Write) -> None:
    for J in (2, 3):
        run(f"a{J}", {KNN: metric(0.5)}, objective={"name": "simvae", "J": J})
    run("b", {KNN: metric(0.5)}, objective={"name": "vae"})
    result = simssl("report", "runs", "--relative-to", "simvea")
    assert "did you mean 'simvae'?" in result.stderr
    assert "--relative-to takes one of: simvae, vae, simvae J=2, simvae J=3" in result.stderr

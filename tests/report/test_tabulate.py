"""Tables: means and standard errors by hand, and a row for each setting."""

from __future__ import annotations

import statistics

import pytest
from fake_runs import metric
from reports import KNN, Write, table_of

from simssl.report import numbers


def test_mean_and_standard_error_over_seeds(run: Write) -> None:
    values = [0.9, 0.92, 0.97]
    runs = [run(f"s{i}", {KNN: metric(v, selected={"k": i})}, seed=i) for i, v in enumerate(values)]
    table = table_of(*runs)
    (row,), (column,) = table.rows, table.columns
    measured = row.measured[column]
    assert (row.label, row.runs, measured.ours.n) == ("simvae", 3, 3)
    assert measured.ours.mean == pytest.approx(statistics.mean(values))
    assert measured.ours.stderr == pytest.approx(statistics.stdev(values) / 3**0.5)
    assert numbers.texts_of(measured, "fraction", runs=3) == ["0.930±0.021"]


def test_other_budgets_and_parameters_are_other_rows(run: Write) -> None:
    table = table_of(
        run("a", {KNN: metric(0.1)}),
        run("b", {KNN: metric(0.2)}, objective={"name": "simvae", "J": 2}),
        run("c", {KNN: metric(0.3)}, training={"views": 2000}),
        run("d", {KNN: metric(0.4)}, objective={"name": "vae"}),
    )
    assert [row.label for row in table.rows] == [
        "simvae J=10 training.views=1000",
        "simvae J=2 training.views=1000",
        "simvae J=10 training.views=2000",
        "vae training.views=1000",
    ]
    assert all(row.runs == 1 for row in table.rows)

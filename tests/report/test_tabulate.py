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
        "simvae J=10 views=1000",
        "simvae J=2 views=1000",
        "simvae J=10 views=2000",
        "vae views=1000",
    ]
    assert all(row.runs == 1 for row in table.rows)


def test_a_label_names_a_setting_of_the_training_by_its_last_part(run: Write) -> None:
    """Unless another setting is called so; and the key in full stays a name of the row."""
    rates = [{"optimizer": {"name": "adam", "lr": lr}, "views": 9} for lr in (0.1, 0.2)]
    paths = [run(f"a{i}", {KNN: metric(0.5)}, training=training) for i, training in enumerate(rates)]
    table = table_of(*paths)
    assert [row.label for row in table.rows] == ["simvae lr=0.1", "simvae lr=0.2"]
    assert "simvae training.optimizer.lr=0.1" in table.rows[0].names
    own = [{"name": "simvae", "lr": 3, "J": J} for J in (2, 4)]
    other = run("b", {KNN: metric(0.5)}, objective=own[0], training=rates[0])
    another = run("c", {KNN: metric(0.5)}, objective=own[1], training=rates[1])
    labels = [row.label for row in table_of(other, another).rows]
    assert labels == ["simvae J=2 training.optimizer.lr=0.1", "simvae J=4 training.optimizer.lr=0.2"]

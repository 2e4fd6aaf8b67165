"""The best of each column is told among the methods of a family, by the differences seed by seed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from fake_runs import metric
from reports import KNN, STYLE, Command, Lines, Write, table_of

from simssl.report import formats
from simssl.report.table import Table


def best_of(table: Table) -> dict[str, list[str]]:
    """Keys whose best a method has, by its label."""
    return {row.label: sorted(column.key for column in row.best) for row in table.rows}


def methods(run: Write, values: dict[str, list[float]], **entry: Any) -> list[Path]:
    """A run for each method and seed."""
    return [
        run(f"{name}{seed}", {KNN: metric(value) | entry}, objective={"name": name}, seed=seed)
        for name, by_seed in values.items()
        for seed, value in enumerate(by_seed)
    ]


def test_the_best_is_marked_within_each_family(run: Write) -> None:
    values = {"random": [0.99], "simclr": [0.7], "vicreg": [0.8], "vae": [0.9], "simvae": [0.95]}
    marked = best_of(table_of(*methods(run, values)))
    assert marked == {"random": [], "simclr": [], "vicreg": [KNN], "vae": [], "simvae": [KNN]}


def test_where_lower_is_better_the_lowest_is_best(run: Write) -> None:
    marked = best_of(table_of(*methods(run, {"vae": [0.9], "simvae": [0.95]}, better="lower")))
    assert marked == {"vae": [KNN], "simvae": []}


def test_where_neither_direction_is_better_nothing_is_marked(run: Write) -> None:
    assert best_of(table_of(*methods(run, {"vae": [0.9], "simvae": [0.95]}, better=None))) == {"vae": [], "simvae": []}


def test_what_is_within_a_standard_error_is_not_split(run: Write) -> None:
    """The differences of the first two, seed by seed, are 0.03 and -0.01; of the third 0.01 each, though its error and
    the best's are larger."""
    values = {"simvae": [0.87, 0.95], "vae": [0.90, 0.94], "beta_vae": [0.89, 0.93]}
    marked = best_of(table_of(*methods(run, values)))
    assert marked == {"simvae": [KNN], "vae": [KNN], "beta_vae": []}


def test_a_method_without_rivals_is_not_marked(run: Write) -> None:
    assert best_of(table_of(*methods(run, {"simclr": [0.7], "simvae": [0.9]}))) == {"simclr": [], "simvae": []}


def test_other_budgets_are_no_rivals(run: Write) -> None:
    runs = [
        run("a", {KNN: metric(0.1)}, training={"views": 1000}),
        run("b", {KNN: metric(0.2)}, training={"views": 2000}),
    ]
    assert all(not row.best for row in table_of(*runs).rows)


def test_a_family_that_is_not_recorded_is_said_to_be(run: Write) -> None:
    runs = [run("a", {KNN: metric(0.1)}, facts={}), run("b", {KNN: metric(0.2)}, facts={}, objective={"name": "vae"})]
    table = table_of(*runs)
    assert all(not row.best for row in table.rows)
    (note,) = table.notes
    assert "simssl evaluate RUN_DIR" in note


def test_every_format_marks_the_best(run: Write) -> None:
    table = table_of(*methods(run, {"vae": [0.901], "simvae": [0.952]}))
    assert "\x1b[1m0.952" in formats.terminal(table)
    assert "\x1b[1m0.901" not in formats.terminal(table)
    assert "| simvae | **0.952** |" in formats.markdown(table)
    assert r"simvae & \textbf{0.952} \\" in formats.latex(table)
    assert [line["best"] for line in csv.DictReader(io.StringIO(formats.as_csv(table)))] == ["False", "True"]
    assert [record["best"] for record in json.loads(formats.as_json(table))["metrics"]] == [False, True]


def test_bold_says_within_what_it_is_sought(run: Write, simssl: Command) -> None:
    for views in (1000, 2000):
        for name in ("vae", "simvae"):
            run(f"{name}{views}", {KNN: metric(0.5)}, objective={"name": name}, training={"views": views})
    assert "methods at the same data, views, networks and budget, and" in simssl("report", "runs").stdout
    assert "same data" not in simssl("report", "runs/vae1000", "runs/simvae1000").stdout


# --- several seeds ---------------------------------------------------------------------------------------


def best_in(lines: list[dict[str, str]]) -> list[str]:
    return [line["method"] for line in lines if line["best"] == "True"]


def test_the_best_is_told_by_the_differences_seed_by_seed(run: Write, lines: Lines) -> None:
    """Seeds move both alike: each has an error of 0.1, their difference of 0.02 none."""
    for seed in range(3):
        run(f"v{seed}", {KNN: metric(0.3 + 0.2 * seed)}, objective={"name": "vae"}, seed=seed)
        run(f"s{seed}", {KNN: metric(0.32 + 0.2 * seed)}, seed=seed)
    assert best_in(lines()) == ["simvae"]


def test_other_seeds_are_compared_as_independent(run: Write, lines: Lines) -> None:
    for seed in range(2):
        run(f"v{seed}", {KNN: metric(0.3 + 0.2 * seed)}, objective={"name": "vae"}, seed=seed)
        run(f"s{seed}", {KNN: metric(0.32 + 0.2 * seed)}, seed=seed + 5)
    assert best_in(lines()) == ["simvae", "vae"]


def test_a_single_seed_is_level_with_nothing_but_its_equal(run: Write, lines: Lines) -> None:
    for seed in range(2):
        run(f"v{seed}", {KNN: metric(0.3 + 0.2 * seed)}, objective={"name": "vae"}, seed=seed)
    run("s", {KNN: metric(0.41)}, seed=1)
    run("b", {KNN: metric(0.41)}, objective={"name": "beta_vae"})
    assert best_in(lines()) == ["beta_vae", "simvae"]


# --- several settings of one method ----------------------------------------------------------------------


def of_settings(run: Write, values: dict[str, list[float]]) -> list[Path]:
    """A run for each temperature of a method: "simclr" -> its numbers."""
    paths = []
    for name, numbers in values.items():
        for i, value in enumerate(numbers):
            objective = {"name": name, "temperature": 0.1 * (i + 1)}
            metrics = {KNN: metric(value, role="content"), STYLE: metric(1 - value, role="style")}
            paths.append(run(f"{name}{i}", metrics, objective=objective))
    return paths


def test_the_best_of_several_settings_of_one_method_is_not_marked(run: Write) -> None:
    """It would be chosen on test. Neither is the next best method, which another setting is better than."""
    table = table_of(*of_settings(run, {"simclr": [0.7, 0.9, 0.8], "vicreg": [0.85], "vae": [0.1], "simvae": [0.2]}))
    by_method = {row.objective: {column.key for column in row.best} for row in table.rows if row.family == "generative"}
    assert by_method == {"vae": {STYLE}, "simvae": {KNN}}
    assert all(KNN not in {column.key for column in row.best} for row in table.rows if row.objective == "simclr")
    discriminative = {row.label: {column.key for column in row.best} for row in table.rows if row.objective == "vicreg"}
    assert discriminative == {"vicreg": set()}
    said = "no best is marked among several settings of one method (simclr): it would be chosen on test"
    assert any(note.startswith(said) for note in table.notes)


def test_a_method_that_is_better_than_all_settings_of_another_is_marked(run: Write) -> None:
    table = table_of(*of_settings(run, {"simclr": [0.7, 0.8], "vicreg": [0.85]}))
    assert {row.objective for row in table.rows if any(column.key == KNN for column in row.best)} == {"vicreg"}


def test_the_headline_takes_no_setting_that_test_chose(run: Write, simssl: Command) -> None:
    of_settings(run, {"simclr": [0.7, 0.9], "vicreg": [0.85]})
    simssl("report", "runs", "--html", "page.html")
    assert "most is kept by" not in Path("page.html").read_text()
    of_settings(run, {"vicreg": [0.95], "moco": [0.2]})
    simssl("report", "runs", "--html", "page.html")
    page = Path("page.html").read_text()
    assert page.count("most is kept by") == 2
    assert "most is kept by <b>vicreg" in page
    assert "most is kept by <b>moco" in page

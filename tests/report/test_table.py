"""What a table says of methods that are best, and of cells without a number; and reports of experiment files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from fake_runs import metric, write_run

from simssl.experiment.config import load_experiments
from simssl.plugin.registry import Registry
from simssl.report import formats
from simssl.report.runs import load_run
from simssl.report.table import Table
from simssl.report.tabulate import tabulate

Command = Callable[..., Result]
Write = Callable[..., Path]
KNN = "knn/class/accuracy"


def table(*runs: Path) -> Table:
    return tabulate([load_run(path) for path in runs])


def best(found: Table) -> dict[str, list[str]]:
    """Keys whose best a method has, by its label."""
    return {row.label: sorted(column.key for column in row.best) for row in found.rows}


def methods(run: Write, values: dict[str, list[float]], **entry: Any) -> list[Path]:
    """A run for each method and seed."""
    return [
        run(f"{name}{seed}", {KNN: metric(value) | entry}, objective={"name": name}, seed=seed)
        for name, found in values.items()
        for seed, value in enumerate(found)
    ]


# --- the best --------------------------------------------------------------------------------------------


def test_the_best_is_marked_within_each_family(run: Write) -> None:
    values = {"random": [0.99], "simclr": [0.7], "vicreg": [0.8], "vae": [0.9], "simvae": [0.95]}
    found = best(table(*methods(run, values)))
    assert found == {"random": [], "simclr": [], "vicreg": [KNN], "vae": [], "simvae": [KNN]}


def test_where_lower_is_better_the_lowest_is_best(run: Write) -> None:
    found = best(table(*methods(run, {"vae": [0.9], "simvae": [0.95]}, better="lower")))
    assert found == {"vae": [KNN], "simvae": []}


def test_where_neither_direction_is_better_nothing_is_marked(run: Write) -> None:
    assert best(table(*methods(run, {"vae": [0.9], "simvae": [0.95]}, better=None))) == {"vae": [], "simvae": []}


def test_what_is_within_a_standard_error_is_not_split(run: Write) -> None:
    """The differences of the first two, seed by seed, are 0.03 and -0.01; of the third 0.01 each, though its error and
    the best's are larger."""
    values = {"simvae": [0.87, 0.95], "vae": [0.90, 0.94], "beta_vae": [0.89, 0.93]}
    found = best(table(*methods(run, values)))
    assert found == {"simvae": [KNN], "vae": [KNN], "beta_vae": []}


def test_a_method_without_rivals_is_not_marked(run: Write) -> None:
    assert best(table(*methods(run, {"simclr": [0.7], "simvae": [0.9]}))) == {"simclr": [], "simvae": []}


def test_other_budgets_are_no_rivals(run: Write) -> None:
    runs = [
        run("a", {KNN: metric(0.1)}, training={"views": 1000}),
        run("b", {KNN: metric(0.2)}, training={"views": 2000}),
    ]
    assert all(not row.best for row in table(*runs).rows)


def test_a_family_that_is_not_recorded_is_said_to_be(run: Write) -> None:
    runs = [run("a", {KNN: metric(0.1)}, facts={}), run("b", {KNN: metric(0.2)}, facts={}, objective={"name": "vae"})]
    found = table(*runs)
    assert all(not row.best for row in found.rows)
    (note,) = found.notes
    assert "simssl evaluate RUN_DIR" in note


def test_every_format_marks_the_best(run: Write) -> None:
    found = table(*methods(run, {"vae": [0.901], "simvae": [0.952]}))
    assert "\x1b[1m0.952" in formats.terminal(found)
    assert "\x1b[1m0.901" not in formats.terminal(found)
    assert "| simvae | **0.952** |" in formats.markdown(found)
    assert r"simvae & \textbf{0.952} \\" in formats.latex(found)
    assert [line["best"] for line in csv.DictReader(io.StringIO(formats.as_csv(found)))] == ["False", "True"]
    assert [record["best"] for record in json.loads(formats.as_json(found))["metrics"]] == [False, True]


# --- experiment files ------------------------------------------------------------------------------------

GRID = {"objective": [{"name": "simvae"}, {"name": "random"}, {"name": "simclr"}], "seed": [0, 1]}


@pytest.fixture
def experiment(small: Write, tmp_path: Path) -> Callable[..., Path]:
    """An experiment file with a grid, and runs for some of its cells: `metrics` by method and seed."""

    def write(metrics: dict[tuple[str, int], dict[str, Any] | None], below: str = "runs", **changes: Any) -> Path:
        evaluators = [{"name": "knn"}, {"name": "reconstruction"}]
        file = small(**{"grid": GRID, "evaluators": evaluators, **changes})
        for cell in load_experiments(file, Registry()):
            found = metrics.get((cell.objective.name, cell.seed), ...)
            if found is not ...:
                write_run(tmp_path / below / cell.folder, found, **cell.resolved)
        return file

    return write


def rows(result: Result) -> dict[str, list[str]]:
    """The rows of a Markdown table, by method."""
    lines = [line.strip("| ").split(" | ") for line in result.stdout.splitlines() if line.startswith("|")]
    return {cells[0]: cells[1:] for cells in lines[2:]}


def test_an_experiment_files_runs_come_in_its_order_and_those_that_are_missing_too(
    simssl: Command, experiment: Write
) -> None:
    skipped = {"reconstruction": {"skipped": "random has no decoder", "evaluator": {}}}
    file = experiment(
        {
            ("simvae", 0): {KNN: metric(0.9), "reconstruction/mse": metric(0.1)},
            ("simvae", 1): {KNN: metric(0.92), "reconstruction/mse": metric(0.1)},
            ("random", 0): {KNN: metric(0.5), **skipped},
            ("random", 1): None,
        }
    )
    result = simssl("report", file, "--format", "md")
    assert result.exit_code == 0, result.stderr
    assert list(rows(result).items()) == [
        ("simvae", ["2", "0.910±0.010", "0.100±0.000"]),
        ("random", ["1", "0.500", "skipped"]),
        ("simclr", ["0", "not run", "not run"]),
    ]
    assert "- random: unfinished with seed 1" in result.stdout
    assert "- reconstruction: skipped, random has no decoder" in result.stdout


def test_a_method_that_was_begun_is_unfinished(simssl: Command, experiment: Write) -> None:
    file = experiment({("simvae", 0): {KNN: metric(0.9)}, ("simclr", 1): None})
    found = rows(simssl("report", file, "--format", "md"))
    assert found["simclr"] == ["0", "unfinished", "unfinished"]
    assert found["random"] == ["0", "not run", "not run"]


def test_what_is_not_asked_for_is_not_said_to_be_missing(simssl: Command, experiment: Write, run: Write) -> None:
    """A metric of another experiment is a dash, not "not run"."""
    file = experiment({("simvae", 0): {KNN: metric(0.9)}})
    run("other", {"rank/rank": metric(0.3)}, name="other")
    found = simssl("report", file, "runs/other", "--format", "json")
    status = {(m["experiment"], m["method"], m["key"]): m["status"] for m in json.loads(found.stdout)["metrics"]}
    assert status == {
        ("small", "simvae", KNN): "measured",
        ("small", "random", KNN): "not run",
        ("small", "simclr", KNN): "not run",
        **{("small", method, "reconstruction"): "not run" for method in ("simvae", "random", "simclr")},
        ("other", "simvae", "rank/rank"): "measured",
    }


def test_csv_and_json_tell_what_is_missing_apart(simssl: Command, experiment: Write) -> None:
    skipped = {"reconstruction": {"skipped": "random has no decoder", "evaluator": {}}}
    file = experiment(
        {("simvae", 0): {"reconstruction/mse": metric(0.1)}, ("random", 0): {KNN: metric(0.5), **skipped}}
    )
    lines = list(csv.DictReader(io.StringIO(simssl("report", file, "--format", "csv").stdout)))
    found = {(line["method"], line["key"]): (line["status"], line["reason"], line["mean"]) for line in lines}
    assert found == {
        ("simvae", KNN): ("not run", "", ""),
        ("simvae", "reconstruction/mse"): ("measured", "", "0.1"),
        ("random", KNN): ("measured", "", "0.5"),
        ("random", "reconstruction/mse"): ("skipped", "random has no decoder", ""),
        ("simclr", KNN): ("not run", "", ""),
        ("simclr", "reconstruction/mse"): ("not run", "", ""),
    }


def test_published_values_stand_beside_what_is_not_run(simssl: Command, experiment: Write, tmp_path: Path) -> None:
    file = experiment({("simvae", 0): {KNN: metric(0.9)}})
    published = tmp_path / "own.csv"
    published.write_text(f"dataset,objective,key,value,stderr,source\ndigits,simclr,{KNN},0.97,,Own\n")
    found = rows(simssl("report", file, "--against", "own.csv", "--format", "md"))
    assert found["simclr"] == ["0", "not run / Own: 0.970", "not run"]


def test_runs_are_looked_for_below_runs(simssl: Command, experiment: Write) -> None:
    file = experiment({("simvae", 0): {KNN: metric(0.9)}}, below="elsewhere")
    assert simssl("report", file, "--runs", "elsewhere").exit_code == 0
    result = simssl("report", file)
    assert result.exit_code == 2
    assert f"no run of {file} is finished in runs/small; simssl run {file} makes them" in result.stderr


def test_runs_with_other_settings_are_pointed_to(simssl: Command, experiment: Write) -> None:
    experiment({("simvae", 0): {KNN: metric(0.9)}}, training={"views": 600, "batch_views": 60})
    file = experiment({})
    result = simssl("report", file)
    assert result.exit_code == 2
    assert "but 1 with other settings; give the -s that they were run with" in result.stderr


def test_settings_are_those_of_the_command_that_ran(simssl: Command, experiment: Write, small: Write) -> None:
    file = experiment({})
    changed = load_experiments(file, Registry(), ["training.views=1200"])
    write_run(Path("runs") / changed[0].folder, {KNN: metric(0.7)}, **changed[0].resolved)
    assert rows(simssl("report", file, "-s", "training.views=1200", "--format", "md"))["simvae"] == [
        "1",
        "0.700",
        "not run",
    ]


def test_settings_without_an_experiment_file_are_refused(simssl: Command, run: Write) -> None:
    run("a", {KNN: metric(0.5)})
    result = simssl("report", "runs", "-s", "training.views=1")
    assert result.exit_code == 2
    assert "-s changes an experiment file, and only folders are given" in result.stderr


def test_a_wrong_experiment_file_is_told_as_always(simssl: Command, small: Write) -> None:
    assert "nothing.yaml" in simssl("report", "nothing.yaml").stderr
    result = simssl("report", small(latent_dim=0))
    assert result.exit_code == 2
    assert "small.yaml:" in result.stderr


def test_a_damaged_run_of_a_file_is_named_and_its_row_kept(simssl: Command, experiment: Write) -> None:
    file = experiment({("simvae", 0): {KNN: metric(0.9)}, ("simclr", 0): {KNN: metric(0.8)}})
    (damaged,) = Path("runs/small").glob("simclr-*")
    (damaged / "metrics.json").write_text("{")
    result = simssl("report", file, "--format", "md")
    assert result.exit_code == 1
    assert "left out: " in result.stderr
    assert rows(result)["simclr"] == ["0", "unreadable", "unreadable"]


def test_folders_are_ordered_by_family_and_show_what_is_unfinished(simssl: Command, run: Write) -> None:
    for name in ("beta_vae", "random", "simclr", "vae"):
        run(name, {KNN: metric(0.5)}, objective={"name": name})
    run("moco", None, objective={"name": "moco"})
    found = rows(simssl("report", "runs", "--format", "md"))
    assert list(found) == ["random", "simclr", "beta_vae", "vae", "moco"]
    assert found["moco"] == ["0", "unfinished"]


def test_one_objectives_settings_are_in_order(simssl: Command, run: Write) -> None:
    for name, J in (("a", 10), ("b", 2), ("c", 20), ("d", 3)):
        run(name, {KNN: metric(0.5)}, objective={"name": "simvae", "J": J})
    found = rows(simssl("report", "runs", "--format", "md"))
    assert list(found) == ["simvae J=2", "simvae J=3", "simvae J=10", "simvae J=20"]


def test_runs_that_are_all_unfinished_are_no_report(simssl: Command, run: Write) -> None:
    run("a", None)
    result = simssl("report", "runs")
    assert result.exit_code == 2
    assert "no finished run was found in runs" in result.stderr


def test_a_copy_that_is_measured_stands_for_one_that_is_not(run: Write) -> None:
    found = table(run("a", None), run("b", {KNN: metric(0.5)}))
    assert [cell.ours.mean for cell in found.rows[0].measured.values()] == [0.5]
    assert found.rows[0].runs == 1

"""Reports: means and standard errors by hand, nothing merged in silence, every format."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from fake_runs import metric

from simssl.report import formats, numbers
from simssl.report.published import Published
from simssl.report.runs import load_run
from simssl.report.table import Table
from simssl.report.tabulate import tabulate


def table(*runs: Path, against: str | None = None) -> Table:
    return tabulate([load_run(path) for path in runs], against)


KNN = "knn/class/accuracy"


def test_mean_and_standard_error_over_seeds(run: Callable[..., Path]) -> None:
    values = [0.9, 0.92, 0.97]
    runs = [run(f"s{i}", {KNN: metric(v, selected={"k": i})}, seed=i) for i, v in enumerate(values)]
    found = table(*runs)
    (row,), (column,) = found.rows, found.columns
    cell = row.measured[column]
    assert (row.label, row.runs, cell.ours.n) == ("simvae", 3, 3)
    assert cell.ours.mean == pytest.approx(statistics.mean(values))
    assert cell.ours.stderr == pytest.approx(statistics.stdev(values) / 3**0.5)
    assert numbers.texts_of(cell, "fraction", runs=3) == ["0.930±0.021"]


def test_other_budgets_and_parameters_are_other_rows(run: Callable[..., Path]) -> None:
    found = table(
        run("a", {KNN: metric(0.1)}),
        run("b", {KNN: metric(0.2)}, objective={"name": "simvae", "J": 2}),
        run("c", {KNN: metric(0.3)}, training={"views": 2000}),
        run("d", {KNN: metric(0.4)}, objective={"name": "vae"}),
    )
    assert [row.label for row in found.rows] == [
        "simvae J=10 training.views=1000",
        "simvae J=2 training.views=1000",
        "simvae J=10 training.views=2000",
        "vae training.views=1000",
    ]
    assert all(row.runs == 1 for row in found.rows)


def test_other_protocols_are_other_columns(run: Callable[..., Path]) -> None:
    found = table(
        run("a", {KNN: metric(0.1, data="abc", evaluator={"k": 5})}),
        run("b", {KNN: metric(0.2, data="abc", evaluator={"k": 9})}, seed=1),
    )
    assert [column.title for column in found.columns] == [f"{KNN} [k 5]", f"{KNN} [k 9]"]
    assert [cell.ours.n for cell in found.rows[0].measured.values()] == [1, 1]


def test_a_selection_on_test_is_labelled(run: Callable[..., Path]) -> None:
    (column,) = table(run("a", {KNN: metric(0.1, selected_on="test")})).columns
    assert column.title == f"{KNN} (selected on test)"


def test_a_terminal_shows_an_evaluators_summary(run: Callable[..., Path]) -> None:
    found = table(run("a", {KNN: metric(0.1), "style_probe/R2": metric(0.5), "style_probe/crop/R2": metric(0.4)}))
    assert [column.key for column in found.summary] == [KNN, "style_probe/R2"]
    assert "style_probe/crop/R2" in formats.as_csv(found)


def test_missing_and_skipped_cells_are_marked(run: Callable[..., Path]) -> None:
    found = table(
        run("a", {KNN: metric(0.1), "reconstruction": {"skipped": "simclr has no decoder", "evaluator": {}}}),
        run("b", {"style_probe/R2": metric(0.2)}, objective={"name": "vae"}),
    )
    text = formats.terminal(found)
    assert text.count("\N{EN DASH}") == 2
    assert "reconstruction: skipped, simclr has no decoder" in text


def test_published_values_stand_beside_ours(run: Callable[..., Path]) -> None:
    found = table(run("a", {KNN: metric(0.98)}), against="bizeul2024")
    (cell,) = found.rows[0].measured.values()
    assert cell.published is not None
    assert (cell.published.value, cell.published.source) == (0.985, "Table 1")
    assert numbers.texts_of(cell, "fraction", runs=1) == ["0.980", "Table 1: 0.985±0.000, \N{MINUS SIGN}0.005"]
    (record,) = formats.records(found)
    assert (record["published"], record["published_selected_on"]) == (0.985, "test")


def test_published_values_that_were_selected_otherwise_are_said_to_be(run: Callable[..., Path]) -> None:
    """The paper's numbers were selected on test; the evaluator of another name that does so has them, too."""
    held_out = metric(0.97, evaluator={"name": "knn"}, selected_on="held_out")
    on_test = metric(0.98, evaluator={"name": "knn", "as": "knn_on_test"}, selected_on="test")
    path = run("a", {KNN: held_out, "knn_on_test/class/accuracy": on_test})
    found = table(path, against="bizeul2024")
    values = {column.key: cell.published for column, cell in found.rows[0].measured.items()}
    assert [published and published.value for published in values.values()] == [0.985, 0.985]
    assert found.notes == ["Table 1 was selected on test: compare it with the columns that were, too"]
    assert table(run("b", {KNN: on_test}), against="bizeul2024").notes == []


def test_a_published_table_may_be_a_file(run: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text(f"dataset,objective,key,value,stderr,source\nmnist,simvae,{KNN},0.5,,Own\n")
    (cell,) = table(run("a", {KNN: metric(0.98)}), against=str(file)).rows[0].measured.values()
    assert cell.published == Published(0.5, None, "Own", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset,objective\na,b\n", "own.csv:2: a published value has the columns"),
        ("dataset,objective,key,value,stderr,source\na,b,c,nan,,d\n", "own.csv:2: a published value has the columns"),
        ("dataset,objective,key,value,stderr,source\na,b,c,1,nan,d\n", "own.csv:2: a published value has the columns"),
        (None, "neither a file nor"),
    ],
)
def test_a_bad_published_table_is_named(
    text: str | None, message: str, simssl: Callable[..., Result], run: Callable[..., Path], tmp_path: Path
) -> None:
    run("a", {KNN: metric(0.98)})
    if text:
        (tmp_path / "own.csv").write_text(text)
    result = simssl("report", "runs", "--against", "own.csv")
    assert result.exit_code == 2
    assert message in result.stderr


def test_every_format_holds_the_numbers(simssl: Callable[..., Result], run: Callable[..., Path]) -> None:
    run("a", {KNN: metric(0.981)})
    texts = {name: simssl("report", "runs", "--format", name).stdout for name in formats.FORMATS}
    assert all("0.981" in text for text in texts.values())
    assert texts["md"].startswith("| method | knn/class/accuracy |\n| --- | --- |\n")
    assert next(csv.DictReader(io.StringIO(texts["csv"])))["mean"] == "0.981"
    assert json.loads(texts["json"])["metrics"][0]["key"] == KNN
    assert r"\begin{tabular}{lr}" in texts["latex"]
    assert r"knn/class/accuracy" in texts["latex"]


def test_several_experiments_are_told_apart(run: Callable[..., Path]) -> None:
    found = table(run("a", {KNN: metric(0.1)}), run("b", {KNN: metric(0.2)}, name="f", dataset={"name": "digits"}))
    assert [(row.experiment, row.label) for row in found.rows] == [("e", "simvae"), ("f", "simvae")]
    for text, name in ((formats.terminal(found), "\nf\n"), (formats.markdown(found), "**f**")):
        first, second = text.split(name)
        assert "0.100" in first
        assert "0.200" not in first
        assert "0.200" in second


def test_nothing_found_is_said(simssl: Callable[..., Result]) -> None:
    result = simssl("report", "nowhere")
    assert result.exit_code == 2
    assert "nowhere does not exist" in result.stderr


def test_notes_in_brackets_reach_the_terminal(run: Callable[..., Path]) -> None:
    found = table(
        run("a", {KNN: metric(0.1, evaluator={"k": 5})}),
        run("b", {KNN: metric(0.2, evaluator={"k": "[/bold]"})}, seed=1),
    )
    text = formats.terminal(found)
    assert "[k 5]" in text
    assert "[k [/bold]]" in text


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_the_terminals_table_is_never_cut_short(
    terminal: str, run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns that do not fit stand below the others, each part with the methods' names."""
    monkeypatch.setenv("TERM", terminal)
    found = table(run("a", {KNN: metric(0.1), f"a_very_{'long_' * 20}name/of_a_metric": metric(0.2)}))
    name = found.rows[0].label

    def rows() -> list[list[str]]:
        return [line.split()[1:] for line in formats.terminal(found).splitlines() if line.startswith(name)]

    assert rows() == [["0.100", "0.200"]], "what is no terminal has all columns side by side"
    needed = max(map(len, formats.terminal(found).split("\n\n")[0].splitlines()))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for columns, expected in ((needed, [["0.100", "0.200"]]), (needed - 1, [["0.100"], ["0.200"]])):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert rows() == expected
    monkeypatch.setenv("COLUMNS", "5")
    assert rows() == [["0.100"], ["0.200"]]
    assert "long_name" in formats.terminal(found)
    assert "\N{HORIZONTAL ELLIPSIS}" not in formats.terminal(found)


def test_a_run_counts_once(simssl: Callable[..., Result], run: Callable[..., Path], tmp_path: Path) -> None:
    import shutil

    run("a", {KNN: metric(0.5)})
    run("b", {KNN: metric(0.7)}, seed=1)
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    text = simssl("report", "runs", tmp_path / "runs", "copy").stdout
    assert "2 of the runs are copies of others, and counted once" in text
    assert "0.600±0.100" in text
    assert "over 2 runs each" in text


def test_copies_lose_nothing_and_their_differences_are_told(run: Callable[..., Path]) -> None:
    copies = [
        run("a", {KNN: metric(0.5)}),
        run("b", {KNN: metric(0.5), "style_probe/R2": metric(0.3)}),
        run("c", {KNN: metric(0.6)}),
    ]
    found = table(*copies)
    assert [cell.ours.mean for cell in found.rows[0].measured.values()] == [0.5, 0.3]
    assert found.notes == [
        "2 of the runs are copies of others, and counted once",
        f"{KNN}: copies of a run differ, and the first is shown",
    ]


@pytest.mark.parametrize("damage", [{"evaluators": 5}, {"seed": [1]}, {"objective": "vae"}, {"training": None}])
def test_a_damaged_run_spoils_no_report(
    damage: dict[str, object], simssl: Callable[..., Result], run: Callable[..., Path]
) -> None:
    run("a", {KNN: metric(0.5)})
    run("b", {KNN: metric(0.7)}, **damage)
    result = simssl("report", "runs")
    assert result.exit_code == 1
    assert "0.500" in result.stdout
    (key,) = damage
    assert f"experiment.yaml is damaged: {key} is missing or no run's" in result.stderr


def test_a_mean_over_fewer_runs_says_so(run: Callable[..., Path]) -> None:
    metrics = [{KNN: metric(0.0)}, {KNN: metric(0.1)}, {"style_probe/R2": metric(0.3)}]
    runs = [run(f"s{i}", found, seed=i) for i, found in enumerate(metrics)]
    text = formats.terminal(table(*runs))
    assert "0.050±0.050, n=2" in text
    assert "0.300, n=1" in text


def test_differences_from_a_row_are_taken_seed_by_seed(simssl: Callable[..., Result], run: Callable[..., Path]) -> None:
    """Seeds move both methods alike, so their difference has a smaller standard error than either."""
    values = {"simvae": [0.90, 0.94, 0.99], "vae": [0.89, 0.92, 0.96], "simclr": [0.95, 0.97]}
    for name, found in values.items():
        for seed, value in enumerate(found):
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


def test_differences_are_taken_at_equal_budgets_alone(simssl: Callable[..., Result], run: Callable[..., Path]) -> None:
    """A short and a long run of the same file lie in one folder; each method is compared with its like."""
    for views, vae, simvae in ((1000, 0.1, 0.3), (2000, 0.2, 0.7)):
        run(f"v{views}", {KNN: metric(vae)}, objective={"name": "vae"}, training={"views": views, "lr": 1})
        run(f"s{views}", {KNN: metric(simvae)}, training={"views": views, "lr": 2})
    run("alone", {KNN: metric(0.2)}, objective={"name": "simclr"}, training={"views": 3000})
    text = simssl("report", "runs", "--relative-to", "vae").stdout
    assert "(+0.200)" in text
    assert "(+0.500)" in text
    assert "simclr training.views=3000: no difference, since no row of vae shares its data, views and budget" in text


@pytest.mark.parametrize(
    ("value", "stderr", "shown"),
    [
        (1234.5, 0.4, "1234.50±0.40"),
        (0.00012, 34.5, "0±34"),
        (0.01153, 0.00012, "0.01153±0.00012"),
        (7552.3, None, "7552"),
    ],
)
def test_a_standard_error_decides_how_many_digits_are_shown(value: float, stderr: float | None, shown: str) -> None:
    assert numbers.number(value, "nats/image", stderr) == shown


def test_no_row_to_take_differences_from_is_said(simssl: Callable[..., Result], run: Callable[..., Path]) -> None:
    run("a", {KNN: metric(0.5)})
    result = simssl("report", "runs", "--relative-to", "simclr")
    assert result.exit_code == 2
    assert "no row is called 'simclr'; there are: simvae" in result.stderr


DAMAGED = {
    "metrics.json": ["", "{", "[]", "{}", '{"metrics": []}', '{"metrics": {"knn/a": {}}}', '{"metrics": {"knn": 3}}'],
    "experiment.yaml": ["", "name: x", "- 1", "{"],
}


@pytest.mark.parametrize(("file", "content"), [(f, c) for f, contents in DAMAGED.items() for c in contents])
def test_a_damaged_run_is_named_and_left_out(
    file: str, content: str, simssl: Callable[..., Result], run: Callable[..., Path]
) -> None:
    run("good", {KNN: metric(0.5)})
    bad = run("bad", {KNN: metric(0.7)}, seed=1)
    (bad / file).write_text(content)
    result = simssl("report", "runs")
    assert result.exit_code == 1
    assert "0.500" in result.stdout
    assert "left out: " in result.stderr
    assert f"bad/{file}" in result.stderr
    assert "unexpected" not in result.stderr

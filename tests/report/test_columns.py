"""Columns: numbers of other protocols stand apart, each with a note of what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_runs import metric
from reports import KNN, Command, Lines, Write, table_of


def test_other_protocols_are_other_columns(run: Write) -> None:
    table = table_of(
        run("a", {KNN: metric(0.1, data="abc", evaluator={"k": 5})}),
        run("b", {KNN: metric(0.2, data="abc", evaluator={"k": 9})}, seed=1),
    )
    assert [column.title for column in table.columns] == [f"{KNN} [k 5]", f"{KNN} [k 9]"]
    assert [measured.ours.n for measured in table.rows[0].measured.values()] == [1, 1]


def test_a_selection_on_test_is_labelled(run: Write) -> None:
    (column,) = table_of(run("a", {KNN: metric(0.1, selected_on="test")})).columns
    assert column.title == f"{KNN} (selected on test)"


def test_a_protocol_that_says_null_is_one_that_says_nothing(run: Write, lines: Lines) -> None:
    for seed, evaluator in enumerate([{"k": 5, "weights": None}, {"k": 5}, {"k": 5, "extra": {}}]):
        run(f"s{seed}", {KNN: metric(0.1 * seed, evaluator=evaluator)}, seed=seed)
    (line,) = lines()
    assert (line["runs"], line["remark"], float(line["mean"])) == ("3", "", pytest.approx(0.1))


@pytest.mark.parametrize(
    ("one", "another", "remark"),
    [
        ({"evaluator": {"k": 5}}, {"evaluator": {}}, "[k 5]"),
        ({"selection": {}, "classes": ["a", "b"]}, {"classes": ["a", "c"]}, "[classes a, b]"),
        ({"how": "a" * 50}, {"how": "b"}, "[how aaaaaaaaaaa\N{HORIZONTAL ELLIPSIS}aaaaaaaaaaaa]"),
        (dict.fromkeys("abcde", 1), {}, "[a 1, b 1, c 1, 2 more]"),
    ],
)
def test_other_protocols_keep_their_columns(
    one: dict[str, Any], another: dict[str, Any], remark: str, run: Write, lines: Lines
) -> None:
    run("a", {KNN: metric(0.25, **one)})
    run("b", {KNN: metric(0.75, **another)}, seed=1)
    columns = lines()
    assert [(line["mean"], line["runs"]) for line in columns] == [("0.25", "1"), ("0.75", "1")]
    assert columns[0]["remark"] == remark


def test_another_unit_is_another_column(run: Write, lines: Lines) -> None:
    run("a", {KNN: metric(0.25)})
    run("b", {KNN: {**metric(25), "unit": "percent"}}, seed=1)
    assert [(line["mean"], line["unit"]) for line in lines()] == [("0.25", "fraction"), ("25.0", "percent")]


def test_columns_are_told_apart_where_they_stand_together_alone(run: Write, simssl: Command) -> None:
    """Experiments have tables of their own, so that what differs between them needs no note."""
    run("a", {KNN: metric(0.1, data="16943f21b9d6eb10", evaluator={"k": 1})})
    run("b", {KNN: metric(0.2, data="ab2332773d559275", evaluator={"k": 9})}, name="f")
    for format_ in ("table", "md", "latex"):
        text = simssl("report", "runs", "--format", format_).stdout
        assert "data" not in text
        assert "k 1" not in text
    run("c", {KNN: metric(0.3, data="16943f21b9d6eb10", evaluator={"k": 5})}, seed=1)
    text = simssl("report", "runs").stdout
    assert "[k 1]" in text
    assert "k 9" not in text


def test_an_evaluators_columns_stand_together_though_some_runs_lack_some(run: Write, lines: Lines) -> None:
    evaluators = [{"name": "knn"}, {"name": "gmm"}]
    run("a", {KNN: metric(0.1), "gmm/class/nmi": metric(0.2)}, evaluators=evaluators)
    run("b", {KNN: metric(0.1), "knn/colour/accuracy": metric(0.3)}, seed=1, evaluators=evaluators)
    assert [line["key"] for line in lines()] == [KNN, "knn/colour/accuracy", "gmm/class/nmi"]


def test_what_nobody_has_measured_has_a_column(run: Write, lines: Lines, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)}, evaluators=[{"name": "knn"}, {"name": "style_probe"}])
    (_, line) = lines()
    assert (line["key"], line["status"], line["mean"]) == ("style_probe", "unfinished", "")
    simssl("report", "runs", "--html", "page.html")
    assert '<th scope="row">style_<wbr>probe</th>' in Path("page.html").read_text()


def test_an_experiments_columns_do_not_appear_in_another(run: Write, simssl: Command) -> None:
    """Reported together, each experiment has the table that it has alone."""
    skip = {"reconstruction": {"skipped": "simclr has no decoder", "evaluator": {}}}
    for name, data in (("a", "1111"), ("b", "2222")):
        decoded = {"reconstruction/R2": metric(0.5, data=data), KNN: metric(0.9, data=data)}
        run(f"{name}/vae", decoded, name=name, objective={"name": "vae"})
        run(f"{name}/simclr", {KNN: metric(0.8, data=data), **skip}, name=name, objective={"name": "simclr"})
    run("c/simclr", {KNN: metric(0.8, data="3333"), **skip}, name="c", objective={"name": "simclr"})
    unfinished = [{"name": "knn"}, {"name": "reconstruction"}]
    run("d/vae", {KNN: metric(0.7, data="4444")}, name="d", objective={"name": "vae"}, evaluators=unfinished)
    together = simssl("report", "runs", "--format", "md").stdout
    tables = [block for block in together.split("\n\n") if block.startswith("| ")]
    for name, table in zip("abcd", tables, strict=True):
        alone = simssl("report", f"runs/{name}", "--format", "md").stdout
        assert alone.startswith(table), name
    assert together.count("[data") == 0
    assert "| vae | 0.700 | unfinished |" in together


def test_csv_has_no_line_of_another_experiments_column(run: Write, lines: Lines) -> None:
    skip = {"reconstruction": {"skipped": "simclr has no decoder", "evaluator": {}}}
    run("a", {"reconstruction/R2": metric(0.5, data="1111")}, name="a")
    run("b", {KNN: metric(0.8), **skip}, name="b", objective={"name": "simclr"})
    told = [(line["experiment"], line["key"], line["status"]) for line in lines()]
    assert told == [("a", "reconstruction/R2", "measured"), ("b", KNN, "measured")]

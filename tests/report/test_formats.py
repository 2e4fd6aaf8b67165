"""Every format holds every number, and says what is missing."""

from __future__ import annotations

import csv
import io
import json

from fake_runs import metric
from reports import KNN, Command, Write, table_of

from simssl.report import formats


def test_every_format_holds_the_numbers(simssl: Command, run: Write) -> None:
    run("a", {KNN: metric(0.981)})
    texts = {name: simssl("report", "runs", "--format", name).stdout for name in formats.FORMATS}
    assert all("0.981" in text for text in texts.values())
    assert texts["md"].startswith("| method | knn/class/accuracy |\n| --- | --- |\n")
    assert next(csv.DictReader(io.StringIO(texts["csv"])))["mean"] == "0.981"
    assert json.loads(texts["json"])["metrics"][0]["key"] == KNN
    assert r"\begin{tabular}{lr}" in texts["latex"]
    assert r"knn/class/accuracy" in texts["latex"]


def test_several_experiments_are_told_apart(run: Write) -> None:
    table = table_of(run("a", {KNN: metric(0.1)}), run("b", {KNN: metric(0.2)}, name="f", dataset={"name": "digits"}))
    assert [(row.experiment, row.label) for row in table.rows] == [("e", "simvae"), ("f", "simvae")]
    for text, name in ((formats.terminal(table), "\nf\n"), (formats.markdown(table), "**f**")):
        first, second = text.split(name)
        assert "0.100" in first
        assert "0.200" not in first
        assert "0.200" in second


def test_missing_and_skipped_entries_are_marked(run: Write) -> None:
    table = table_of(
        run("a", {KNN: metric(0.1), "reconstruction": {"skipped": "simclr has no decoder", "evaluator": {}}}),
        run("b", {"style_probe/R2": metric(0.2)}, objective={"name": "vae"}),
    )
    text = formats.terminal(table)
    assert text.count("\N{EN DASH}") == 2
    assert "reconstruction: skipped, simclr has no decoder" in text


def test_characters_that_mean_something_are_escaped(run: Write, simssl: Command) -> None:
    run("a", {r"knn/a\b^c~d<e>f|g/x": metric(0.5)})
    text = simssl("report", "runs", "--format", "latex").stdout
    escaped = r"a\textbackslash{}b\textasciicircum{}c\textasciitilde{}d\textless{}e\textgreater{}f\textbar{}g"
    assert escaped in text
    assert r"f\|g" in simssl("report", "runs", "--format", "md").stdout

"""A terminal shows the summary, and its table is never cut short."""

from __future__ import annotations

import pytest
from fake_runs import metric
from reports import KNN, Command, Write, table_of

from simssl.report import formats


def test_a_terminal_shows_an_evaluators_summary(run: Write) -> None:
    table = table_of(run("a", {KNN: metric(0.1), "style_probe/R2": metric(0.5), "style_probe/crop/R2": metric(0.4)}))
    assert [column.key for column in table.summary] == [KNN, "style_probe/R2"]
    assert "style_probe/crop/R2" in formats.as_csv(table)


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_the_terminals_table_is_never_cut_short(terminal: str, run: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns that do not fit stand below the others, each part with the methods' names."""
    monkeypatch.setenv("TERM", terminal)
    table = table_of(run("a", {KNN: metric(0.1), f"a_very_{'long_' * 20}name/of_a_metric": metric(0.2)}))
    name = table.rows[0].label

    def markdown_rows() -> list[list[str]]:
        return [line.split()[1:] for line in formats.terminal(table).splitlines() if line.startswith(name)]

    assert markdown_rows() == [["0.100", "0.200"]], "what is no terminal has all columns side by side"
    needed = max(map(len, formats.terminal(table).split("\n\n")[0].splitlines()))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for columns, expected in ((needed, [["0.100", "0.200"]]), (needed - 1, [["0.100"], ["0.200"]])):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert markdown_rows() == expected
    monkeypatch.setenv("COLUMNS", "5")
    assert markdown_rows() == [["0.100"], ["0.200"]]
    assert "long_name" in formats.terminal(table)
    assert "\N{HORIZONTAL ELLIPSIS}" not in formats.terminal(table)


def test_notes_in_brackets_reach_the_terminal(run: Write) -> None:
    table = table_of(
        run("a", {KNN: metric(0.1, evaluator={"k": 5})}),
        run("b", {KNN: metric(0.2, evaluator={"k": "[/bold]"})}, seed=1),
    )
    text = formats.terminal(table)
    assert "[k 5]" in text
    assert "[k [/bold]]" in text


def test_a_long_note_is_broken_in_a_terminal(run: Write, simssl: Command) -> None:
    for seed in (0, 1):
        note = {key: f"{key} and many a word more, {seed}" for key in ("first", "second", "third")}
        run(f"s{seed}", {KNN: metric(0.1, **note)}, seed=seed)
    table = simssl("report", "runs").stdout.split("one run each")[0]
    assert max(map(len, table.splitlines())) < 80

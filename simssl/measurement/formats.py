"""A report's table as text: Markdown, CSV, JSON, LaTeX, or for a terminal."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

from simssl.measurement.estimate import Estimate
from simssl.measurement.table import Absent, Cell, Column, Row, Table

ABSENT = "\N{EN DASH}"
GAP = 2
"""Characters between the columns of a terminal's table."""


def number(value: float, unit: str, stderr: float | None = None) -> str:
    """Three decimals for what lies between 0 and 1 by nature; else two digits of the standard error, or three of
    the value where there is none."""
    if unit in ("fraction", "R2"):
        decimals = 3
    else:
        digits, of = (2, stderr) if stderr else (3, value)
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(of) or 1)))
    text = f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
    return text if stderr is None else f"{text}±{stderr:.{decimals}f}"


def cell_text(cell: Cell | Absent | None, unit: str, runs: int) -> list[str]:
    """The mean with its standard error, or why there is none; below it the published value with ours minus it, and,
    in brackets, the difference from the row that the table is relative to."""
    if cell is None:
        return [ABSENT]
    lines = [cell.why if isinstance(cell, Absent) else estimate(cell.ours, unit, runs)]
    if cell.published:
        beside = f"{cell.published.source}: {number(cell.published.value, unit)}"
        lines.append(beside if isinstance(cell, Absent) else f"{beside}, {_gap(cell)}")
    if isinstance(cell, Cell) and cell.difference:
        lines.append(f"({signed(cell.difference, unit, runs)})")
    return lines


def _gap(cell: Cell) -> str:
    """Ours minus the published value."""
    assert cell.published
    return f"{cell.ours.mean - cell.published.value:+.3f}".replace("-", "\N{MINUS SIGN}")


def estimate(found: Estimate, unit: str, runs: int) -> str:
    """The mean with its standard error, and its number of runs if that is not the row's."""
    text = number(found.mean, unit, found.stderr)
    return text if found.n == runs else f"{text}, n={found.n}"


def signed(found: Estimate, unit: str, runs: int) -> str:
    """A difference, with its sign."""
    return ("+" if found.mean >= 0 else "") + estimate(found, unit, runs)


def at(row: Row, column: Column) -> Cell | Absent | None:
    """What the table knows there; None is "not measured"."""
    return row.cells.get(column) or row.absent.get(column)


def headings(table: Table) -> list[str]:
    """Of the columns that tell the rows apart, and of the summary's."""
    return [*_first(table, None), *(column.title for column in table.summary)]


def _first(table: Table, row: Row | None) -> list[str]:
    """The cells (headings, without a row) before the numbers: experiment and runs only where they differ."""
    cells = [row.label if row else "method"]
    if len({r.experiment for r in table.rows}) > 1:
        cells.insert(0, row.experiment if row else "experiment")
    if len({r.runs for r in table.rows}) > 1:
        cells.append(str(row.runs) if row else "runs")
    return cells


def _numbers(row: Row, columns: Sequence[Column]) -> list[list[str]]:
    return [cell_text(at(row, column), column.unit, row.runs) for column in columns]


def caption(table: Table) -> str:
    """What stands in the cells."""
    counts = {row.runs for row in table.rows if row.runs}
    runs = f"{counts.pop()} runs each" if len(counts) == 1 else "the runs"
    parts = ["one run each" if runs == "1 runs each" else f"mean±standard error over {runs}"]
    if table.relative_to:
        parts.append(f"in brackets the difference from {table.relative_to}, seed by seed")
    if any(row.best for row in table.rows):
        parts.append(
            "bold: the best of several generative, or several discriminative, methods, and what is within a standard "
            "error of it"
        )
    if any(at(row, column) is None for row in table.rows for column in table.summary):
        parts.append("a dash: not measured")
    return "; ".join(parts)


def terminal(table: Table) -> str:
    """The summary columns, for a terminal: one below the other where they are too many for its width, and never cut
    short. What is no terminal has them side by side."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = [line for columns in _fitting(table, width) for line in ["", *_drawn(table, columns)]]
    return "\n".join([*lines, "", caption(table), *table.notes])


def _heading(column: Column) -> list[str]:
    remark = column.remark.strip()
    return [*column.key.replace("/", "\n/").split("\n"), *([remark] if remark else [])]


def _fitting(table: Table, width: int | None) -> list[list[Column]]:
    """The columns of each part, at least one, as many as fit beside the rows' names."""
    rows = [_first(table, row) for row in (None, *table.rows)]
    names = sum(max(map(len, texts)) + GAP for texts in zip(*rows, strict=True))
    parts: list[list[Column]] = []
    room = 0
    for column in table.summary:
        cells = [line for row in table.rows for line in cell_text(at(row, column), column.unit, row.runs)]
        needed = max(map(len, [*_heading(column), *cells])) + GAP
        if not parts or (width is not None and needed > room):
            parts.append([])
            room = (width or 0) + GAP - names
        parts[-1].append(column)
        room -= needed
    return parts or [[]]


def _drawn(table: Table, columns: Sequence[Column]) -> list[str]:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="")
    for i, heading in enumerate(_first(table, None)):
        shown.add_column(heading, justify="right" if i else "left", no_wrap=True)
    for column in columns:
        shown.add_column("\n".join(_heading(column)), justify="right", no_wrap=True)
    for row in table.rows:
        numbers = [
            Text("\n").join([Text(first, "bold" if column in row.best else ""), *map(Text, rest)])
            for column, (first, *rest) in zip(columns, _numbers(row, columns), strict=True)
        ]
        shown.add_row(*_first(table, row), *numbers)
    console = Console(highlight=False, markup=False, width=10_000, color_system="standard", force_terminal=True)
    with console.capture() as captured:
        console.print(shown)
    return [line.rstrip() for line in captured.get().rstrip("\n").split("\n")]


def markdown(table: Table) -> str:
    """The summary columns as a Markdown table."""
    heads, *rows = _lines(table, str, lambda text: f"**{text}**")
    lines = [heads, ["---"] * len(heads), *rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n\n".join([text, caption(table) + ".", *(f"- {note}" for note in table.notes)])


def latex(table: Table) -> str:
    """The summary columns as a LaTeX tabular (booktabs)."""
    lines = _lines(table, _tex, lambda text: rf"\textbf{{{text}}}")
    heads, *rows = [" & ".join(line) + r" \\" for line in lines]
    columns = "l" + "r" * (len(lines[0]) - 1)
    body = [r"\toprule", heads, r"\midrule", *rows, r"\bottomrule"]
    inside = "\n".join(f"    {line}" for line in body)
    comments = "".join(f"% {' '.join(line.split())}\n" for line in (caption(table), *table.notes))
    return f"{comments}\\begin{{tabular}}{{{columns}}}\n{inside}\n\\end{{tabular}}"


def _lines(table: Table, escape: Callable[[str], str], bold: Callable[[str], str]) -> list[list[str]]:
    """Headings and rows of the summary, as text."""
    lines = [list(map(escape, headings(table)))]
    for row in table.rows:
        line = list(map(escape, _first(table, row)))
        for column, (first, *rest) in zip(table.summary, _numbers(row, table.summary), strict=True):
            shown = bold(escape(first)) if column in row.best else escape(first)
            line.append(" / ".join([shown, *map(escape, rest)]))
        lines.append(line)
    return lines


def _tex(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, "\\" + character)
    return text.replace("±", r"$\pm$").replace("\N{MINUS SIGN}", "$-$").replace(ABSENT, "--")


def records(table: Table) -> list[dict[str, Any]]:
    """Every number, one record each; and one for each number that is not there, with its `status`."""
    return [
        _record(table, row, column, cell)
        for row in table.rows
        for column in table.columns
        if (cell := at(row, column)) is not None
    ]


def _record(table: Table, row: Row, column: Column, cell: Cell | Absent) -> dict[str, Any]:
    ours, difference = (cell.ours, cell.difference) if isinstance(cell, Cell) else (None, None)
    return {
        "experiment": row.experiment,
        "method": row.label,
        "family": row.family,
        "key": column.key,
        "remark": column.remark.strip(),
        "status": cell.why if isinstance(cell, Absent) else "measured",
        "reason": cell.reason if isinstance(cell, Absent) else None,
        "mean": ours.mean if ours else None,
        "stderr": ours.stderr if ours else None,
        "runs": ours.n if ours else 0,
        "best": column in row.best,
        "unit": column.unit,
        "better": column.better,
        "role": column.role,
        "selected_on": column.protocol.get("selected_on"),
        "published": cell.published.value if cell.published else None,
        "published_stderr": cell.published.stderr if cell.published else None,
        "published_selected_on": cell.published.selected_on if cell.published else None,
        "source": cell.published.source if cell.published else None,
        "relative_to": table.relative_to if difference else None,
        "difference": difference.mean if difference else None,
        "difference_stderr": difference.stderr if difference else None,
    }


def as_json(table: Table) -> str:
    """Every number, with its protocol."""
    protocols = [dict(column.protocol) for row in table.rows for column in table.columns if at(row, column) is not None]
    metrics = [{**record, "protocol": protocol} for record, protocol in zip(records(table), protocols, strict=True)]
    return json.dumps({"metrics": metrics, "notes": list(table.notes)}, indent=2, allow_nan=False)


def as_csv(table: Table) -> str:
    """Every number, one line each."""
    lines = io.StringIO()
    rows = records(table)
    writer = csv.DictWriter(lines, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue().rstrip("\n")


FORMATS = {"table": terminal, "md": markdown, "csv": as_csv, "json": as_json, "latex": latex}

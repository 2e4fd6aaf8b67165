"""A report's table as text: Markdown, CSV, JSON, LaTeX, or for a terminal."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from simssl.report.columns import Column
from simssl.report.numbers import ABSENT, at, caption, texts_of
from simssl.report.table import Absent, Measured, Row, Table

GAP = 2
"""Characters between the columns of a terminal's table."""
REMARK = 24
"""Characters of a line of a column's remark."""


def _first(table: Table, row: Row | None) -> list[str]:
    """The cells (headings, without a row) before the numbers: runs only where they differ."""
    cells = [row.label if row else "method"]
    if len({r.runs for r in table.rows}) > 1:
        cells.append(str(row.runs) if row else "runs")
    return cells


def _numbers(row: Row, columns: Sequence[Column]) -> list[list[str]]:
    return [texts_of(at(row, column), column.unit, row.runs) for column in columns]


def _named(table: Table) -> list[tuple[str, Table]]:
    """The table of each experiment, with its name if there are several."""
    parts = table.parts
    return [(part.rows[0].experiment if len(parts) > 1 else "", part) for part in parts]


def terminal(table: Table) -> str:
    """The summary columns, for a terminal: one below the other where they are too many for its width, and never cut
    short. What is no terminal has them side by side."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines: list[str] = []
    for name, part in _named(table):
        lines += ["", name] if name else []
        lines += [line for columns in _fitting(part, width) for line in ["", *_drawn(part, columns)]]
    return "\n".join([*lines, "", caption(table), *table.notes])


def _heading(column: Column) -> list[str]:
    return [*column.key.replace("/", "\n/").split("\n"), *textwrap.wrap(column.remark, REMARK)]


def _fitting(table: Table, width: int | None) -> list[list[Column]]:
    """The columns of each part, at least one, as many as fit beside the rows' names."""
    rows = [_first(table, row) for row in (None, *table.rows)]
    names = sum(max(map(len, texts)) + GAP for texts in zip(*rows, strict=True))
    parts: list[list[Column]] = []
    room = 0
    for column in table.summary:
        cells = [line for row in table.rows for line in texts_of(at(row, column), column.unit, row.runs)]
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
    console = Console(
        highlight=False, markup=False, width=10_000, height=100, color_system="standard", force_terminal=True
    )
    with console.capture() as captured:
        console.print(shown)
    return [line.rstrip() for line in captured.get().rstrip("\n").split("\n")]


def markdown(table: Table) -> str:
    """The summary columns as a Markdown table."""
    texts = []
    for name, part in _named(table):
        heads, *rows = _lines(part, lambda text: text.replace("|", r"\|"), lambda text: f"**{text}**")
        lines = [heads, ["---"] * len(heads), *rows]
        texts += [f"**{name}**"] if name else []
        texts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join([*texts, caption(table) + ".", "\n".join(f"- {note}" for note in table.notes)]).rstrip()


def latex(table: Table) -> str:
    """The summary columns as a LaTeX tabular (booktabs), one for each experiment."""
    comments = "".join(f"% {' '.join(line.split())}\n" for line in (caption(table), *table.notes))
    return comments + "\n".join(
        f"% {name}\n{_tabular(part)}" if name else _tabular(part) for name, part in _named(table)
    )


def _tabular(table: Table) -> str:
    lines = _lines(table, _tex, lambda text: rf"\textbf{{{text}}}")
    heads, *rows = [" & ".join(line) + r" \\" for line in lines]
    columns = "l" + "r" * (len(lines[0]) - 1)
    body = [r"\toprule", heads, r"\midrule", *rows, r"\bottomrule"]
    inside = "\n".join(f"    {line}" for line in body)
    return f"\\begin{{tabular}}{{{columns}}}\n{inside}\n\\end{{tabular}}"


def _lines(table: Table, escape: Callable[[str], str], bold: Callable[[str], str]) -> list[list[str]]:
    """Headings and rows of the summary, as text."""
    lines = [[escape(text) for text in (*_first(table, None), *(column.title for column in table.summary))]]
    for row in table.rows:
        line = list(map(escape, _first(table, row)))
        for column, (first, *rest) in zip(table.summary, _numbers(row, table.summary), strict=True):
            shown = bold(escape(first)) if column in row.best else escape(first)
            line.append(" / ".join([shown, *map(escape, rest)]))
        lines.append(line)
    return lines


TEX = {character: "\\" + character for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    ABSENT: "--",
}
"""What is no letter of its own in LaTeX."""


def _tex(text: str) -> str:
    return "".join(TEX.get(character, character) for character in text)


def records(table: Table) -> list[dict[str, Any]]:
    """Every number, one record each; and one for each number that is not there, with its `status`."""
    return [_record(table, *place) for place in _places(table)]


def _places(table: Table) -> Iterator[tuple[Row, Column, Measured | Absent]]:
    """Where the table knows something."""
    for row in table.rows:
        for column in table.columns:
            if (cell := at(row, column)) is not None:
                yield row, column, cell


def _record(table: Table, row: Row, column: Column, cell: Measured | Absent) -> dict[str, Any]:
    ours, difference = (cell.ours, cell.difference) if isinstance(cell, Measured) else (None, None)
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
    metrics = [
        {**_record(table, row, column, cell), "protocol": dict(column.protocol)} for row, column, cell in _places(table)
    ]
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

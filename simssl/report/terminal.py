"""A report's table for a terminal: as many columns side by side as it is wide."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

from simssl.blocks.messages import printable_line
from simssl.report.columns import Column
from simssl.report.numbers import caption, headings_of, names_of, texts_at
from simssl.report.table import Row, Table

GAP = 2
"""Characters between the columns of a terminal's table."""
REMARK = 24
"""Characters of a line of a column's remark."""


def terminal(table: Table) -> str:
    """The summary columns, for a terminal.

    They stand one below the other where they are too many for its width, and are never cut short. What is no terminal
    has them side by side.
    """
    width = None
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    lines: list[str] = []
    for name, part in table.named_parts:
        if name:
            lines += ["", printable_line(name)]
        for columns in _fitting(part, width):
            lines.append("")
            lines += _drawn(part, columns)
    lines.append("")
    for sentence in (caption(table), *table.notes):
        lines.append(printable_line(sentence))
    return "\n".join(lines)


def _heading(column: Column) -> list[str]:
    """The lines of a column's heading: the parts of its key, then its remark."""
    key = printable_line(column.key).replace("/", "\n/")
    remark = textwrap.wrap(printable_line(column.remark), REMARK)
    return [*key.split("\n"), *remark]


def _names(table: Table, row: Row) -> list[str]:
    return list(map(printable_line, names_of(table, row)))


def _texts(row: Row, column: Column) -> list[str]:
    return list(map(printable_line, texts_at(row, column)))


def _fitting(table: Table, width: int | None) -> list[list[Column]]:
    """The summary columns in parts: each has as many as fit beside the rows' names, and at least one."""
    names = [headings_of(table)]
    names += [_names(table, row) for row in table.rows]
    names_width = 0
    for texts in zip(*names, strict=True):
        names_width += _longest(texts) + GAP

    parts: list[list[Column]] = []
    room = 0
    for column in table.summary:
        lines = _heading(column)
        for row in table.rows:
            lines += _texts(row, column)
        needed = _longest(lines) + GAP
        fits = width is None or needed <= room
        if not parts or not fits:
            parts.append([])
            room = (width or 0) + GAP - names_width
        parts[-1].append(column)
        room -= needed
    return parts or [[]]


def _longest(texts: Iterable[str]) -> int:
    return max(map(len, texts))


def _drawn(table: Table, columns: Sequence[Column]) -> list[str]:
    """The lines of a table of these columns."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="",
    )
    first, *others = headings_of(table)
    shown.add_column(first, justify="left", no_wrap=True)
    for heading in others:
        shown.add_column(heading, justify="right", no_wrap=True)
    for column in columns:
        heading = "\n".join(_heading(column))
        shown.add_column(heading, justify="right", no_wrap=True)

    for row in table.rows:
        entries = []
        for column in columns:
            number, *rest = _texts(row, column)
            style = "bold" if column in row.best else ""
            lines = [Text(number, style)]
            lines += map(Text, rest)
            entries.append(Text("\n").join(lines))
        shown.add_row(*map(Text, _names(table, row)), *entries)

    console = Console(
        highlight=False,
        markup=False,
        width=10_000,
        height=100,
        color_system="standard",
        force_terminal=True,
    )
    with console.capture() as captured:
        console.print(shown)
    text = captured.get().rstrip("\n")
    return [line.rstrip() for line in text.split("\n")]

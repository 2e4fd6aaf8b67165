"""The results: the table of methods by metrics, and all numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from simssl.report import words
from simssl.report.columns import Column
from simssl.report.formats import as_csv
from simssl.report.numbers import at, caption, texts_of
from simssl.report.table import Absent, Row, Table


@dataclass(frozen=True)
class Heading:
    text: str
    small: str | None = None
    anchor: str | None = None
    """Leads to how the column's numbers were made."""
    is_key: bool = False
    """A metric's key, which may be broken."""


@dataclass(frozen=True)
class Entry:
    text: str
    small: Sequence[str] = ()
    element: Literal["strong", "span"] | None = None
    """The HTML element around the text; strong is the best."""
    absent: bool = False
    reason: str = ""
    """Why there is no number, shown where the pointer rests."""


@dataclass(frozen=True)
class Grid:
    title: str
    """Read aloud."""
    across: Sequence[Heading]
    """The first stands in the corner."""
    lines: Sequence[tuple[Heading, Sequence[Entry]]]


@dataclass(frozen=True)
class Results:
    summary: Grid
    caption: str
    every: Grid | None
    """All metrics, if the summary has fewer."""
    metrics: int
    csv: str


def results(table: Table, anchors: Mapping[Column, str]) -> Results:
    """Each evaluator's summary, every number, and the same as CSV. A metric leads to how its numbers were made."""
    columns = table.columns
    shown = table.summary
    summary = _grid("the table of methods by metrics", table.rows, shown, anchors)
    every = None
    if len(columns) > len(shown):
        every = _grid("every number", table.rows, columns, anchors)
    return Results(summary, f"{caption(table)}.", every, len(columns), as_csv(table))


def _grid(title: str, rows: Sequence[Row], columns: Sequence[Column], anchors: Mapping[Column, str]) -> Grid:
    """Methods by metrics; or metrics by methods, if those are fewer, so that the table fits paper."""
    runs_differ = any(row.runs != rows[0].runs for row in rows)
    metrics = []
    if runs_differ:
        metrics.append(Heading("runs"))
    for column in columns:
        metrics.append(_heading(column, anchors))
    methods = []
    lines = []
    for row in rows:
        methods.append(Heading(row.label, row.family or None))
        line = []
        if runs_differ:
            line.append(Entry(str(row.runs)))
        for column in columns:
            line.append(_entry(row, column))
        lines.append(line)
    if len(columns) <= len(rows):
        return Grid(title, [Heading("method"), *metrics], list(zip(methods, lines, strict=True)))
    transposed = zip(*lines, strict=True)
    return Grid(title, [Heading("metric"), *methods], list(zip(metrics, transposed, strict=True)))


def _heading(column: Column, anchors: Mapping[Column, str]) -> Heading:
    if column not in anchors:
        return Heading(column.key, is_key=True)
    direction = words.DIRECTIONS[column.better] if column.better else None
    unit = words.UNITS.get(column.unit, column.unit)
    told = [column.role, unit, direction, column.remark.strip()]
    small = " · ".join(filter(None, told))
    return Heading(column.key, small, anchors[column], is_key=True)


def _entry(row: Row, column: Column) -> Entry:
    number = at(row, column)
    first, *rest = texts_of(number, column.unit, row.runs)
    element: Literal["strong", "span"] = "strong" if column in row.best else "span"
    if number is None:
        return Entry(first, rest, element, absent=True)
    if isinstance(number, Absent):
        return Entry(first, rest, element, absent=True, reason=number.reason)
    return Entry(first, rest, element)

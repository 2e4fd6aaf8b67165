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

Element = Literal["strong", "span"]
"""An element of HTML; what is best is strong."""


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
    element: Element | None = None
    """The marks that stand around the text."""
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
    return Results(
        summary=summary,
        caption=f"{caption(table)}.",
        every=every,
        metrics=len(columns),
        csv=as_csv(table),
    )


def _grid(title: str, rows: Sequence[Row], columns: Sequence[Column], anchors: Mapping[Column, str]) -> Grid:
    """Methods by metrics; or metrics by methods, if those are fewer, so that the table fits paper."""
    runs_differ = any(row.runs != rows[0].runs for row in rows)
    metrics = [_heading(column, anchors) for column in columns]
    if runs_differ:
        metrics.insert(0, Heading("runs"))
    methods = []
    lines = []
    for row in rows:
        told = [row.family or ""]
        if row.tried > 1:
            told.append(f"1 of {row.tried} settings")
        methods.append(Heading(row.label, " · ".join(filter(None, told)) or None))
        line = [_entry(row, column) for column in columns]
        if runs_differ:
            line.insert(0, Entry(str(row.runs)))
        lines.append(line)
    if len(columns) <= len(rows):
        across = [Heading("method"), *metrics]
        return Grid(title, across, list(zip(methods, lines, strict=True)))
    across = [Heading("metric"), *methods]
    transposed = zip(*lines, strict=True)
    return Grid(title, across, list(zip(metrics, transposed, strict=True)))


def _heading(column: Column, anchors: Mapping[Column, str]) -> Heading:
    if column not in anchors:
        return Heading(column.key, is_key=True)
    direction = words.DIRECTIONS[column.better] if column.better else None
    unit = words.UNITS.get(column.unit, column.unit)
    told = [column.role, unit, direction, column.remark.strip()]
    return Heading(
        text=column.key,
        small=" · ".join(filter(None, told)),
        anchor=anchors[column],
        is_key=True,
    )


def _entry(row: Row, column: Column) -> Entry:
    number = at(row, column)
    first, *rest = texts_of(number, column.unit, row.runs)
    element: Element = "strong" if column in row.best else "span"
    return Entry(
        text=first,
        small=rest,
        element=element,
        absent=number is None or isinstance(number, Absent),
        reason=number.reason if isinstance(number, Absent) else "",
    )

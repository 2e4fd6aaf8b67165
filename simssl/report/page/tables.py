"""The table of methods by metrics, and all numbers."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from simssl.report import words
from simssl.report.columns import Column
from simssl.report.formats import as_csv
from simssl.report.numbers import at, caption, texts_of
from simssl.report.page.elements import Html, box, folded, joined, key, tag
from simssl.report.table import Absent, Row, Table


def results(table: Table, anchors: Mapping[Column, str], notes: Html) -> Html:
    """Each evaluator's summary; folded, every number; and the same as CSV to take away. A metric leads to how its
    numbers were made."""
    parts = [_grid("the table of methods by metrics", table.rows, table.summary, anchors)]
    parts += [tag("p", caption(table) + ".", class_="how"), notes]
    if len(table.columns) > len(table.summary):
        every = _grid("every number", table.rows, table.columns, anchors)
        parts.append(folded(f"All {len(table.columns)} metrics", every))
    content = base64.b64encode(as_csv(table).encode()).decode()
    source = f"data:text/csv;charset=utf-8;base64,{content}"
    return joined([*parts, tag("p", tag("a", "Every number as CSV", href=source, download="report.csv"))])


def _grid(what: str, rows: Sequence[Row], columns: Sequence[Column], anchors: Mapping[Column, str]) -> Html:
    """Methods by metrics; or metrics by methods, if those are fewer, so that the table fits paper."""
    methods = [joined([row.label, tag("small", row.family) if row.family else None]) for row in rows]
    metrics = [_heading(column, anchors) for column in columns]
    cells = [[_cell(row, column) for column in columns] for row in rows]
    if len({row.runs for row in rows}) > 1:
        metrics.insert(0, Html("runs"))
        cells = [[tag("td", str(row.runs)), *line] for row, line in zip(rows, cells, strict=True)]
    if len(columns) > len(rows):
        corner, across, down, lines = "metric", methods, metrics, [list(line) for line in zip(*cells, strict=True)]
    else:
        corner, across, down, lines = "method", metrics, methods, cells
    heads = [tag("th", name, scope="col") for name in (corner, *across)]
    body = [tag("tr", tag("th", name, scope="row"), *line) for name, line in zip(down, lines, strict=True)]
    return box(what, tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *body)))


def _heading(column: Column, anchors: Mapping[Column, str]) -> Html:
    if column not in anchors:
        return key(column.key)
    direction = words.DIRECTIONS[column.better] if column.better else None
    told = [column.role, words.UNITS.get(column.unit, column.unit), direction, column.remark.strip()]
    small = tag("small", " · ".join(line for line in told if line))
    return joined([tag("a", key(column.key), href=f"#{anchors[column]}"), small])


def _cell(row: Row, column: Column) -> Html:
    cell = at(row, column)
    first, *rest = texts_of(cell, column.unit, row.runs)
    shown = tag("strong" if column in row.best else "span", first)
    reason = cell.reason or None if isinstance(cell, Absent) else None
    absent = cell is None or isinstance(cell, Absent)
    small = [tag("small", line) for line in rest]
    return tag("td", shown, *small, class_="absent" if absent else None, title=reason)

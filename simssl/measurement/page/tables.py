"""The table of methods by metrics, and all numbers."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from simssl.measurement import formats
from simssl.measurement.page import words
from simssl.measurement.page.elements import Html, box, folded, joined, key, tag
from simssl.measurement.table import Absent, Cell, Column, Row, Table

ARROWS = {"higher": "↑ higher is better", "lower": "↓ lower is better", None: ""}


def summary(table: Table, anchors: Mapping[Column, str]) -> Html:
    """Each evaluator's summary, a row a method; a heading leads to how its numbers were made."""
    first = ["method", *(["runs"] if len({row.runs for row in table.rows}) > 1 else [])]
    heads = [tag("th", name, scope="col") for name in first]
    heads += [tag("th", *_heading(column, anchors), scope="col") for column in table.summary]
    rows = [_row(row, table, len(first) > 1) for row in table.rows]
    shown = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows))
    return joined([box("the table of methods by metrics", shown), tag("p", formats.caption(table) + ".", class_="how")])


def _heading(column: Column, anchors: Mapping[Column, str]) -> list[Html]:
    small = [column.role, words.UNITS.get(column.unit, column.unit), ARROWS[column.better], column.remark.strip()]
    return [
        tag("a", key(column.key), href=f"#{anchors[column]}"),
        *(tag("small", line) for line in small if line),
    ]


def _row(row: Row, table: Table, with_runs: bool) -> Html:
    runs = [tag("td", str(row.runs))] if with_runs else []
    family = tag("small", row.family) if row.family else None
    numbers = [_cell(row, column) for column in table.summary]
    return tag("tr", tag("th", row.label, family, scope="row"), *runs, *numbers)


def _cell(row: Row, column: Column) -> Html:
    cell = formats.at(row, column)
    first, *rest = formats.cell_text(cell, column.unit, row.runs)
    shown = tag("strong", first) if column in row.best else tag("span", first)
    lines = [tag("small", line) for line in rest]
    if isinstance(cell, Absent):
        return tag("td", tag("span", first), *lines, class_="absent", title=cell.reason or None)
    return tag("td", shown, *lines, class_=None if cell else "absent")


def everything(table: Table) -> Html:
    """Every number, a row a metric, and the same as CSV to take away."""
    content = base64.b64encode(formats.as_csv(table).encode()).decode()
    source = f"data:text/csv;charset=utf-8;base64,{content}"
    link = tag("p", tag("a", "Every number as CSV", href=source, download="report.csv"))
    if len(table.columns) == len(table.summary):
        return link
    heads = tag("tr", tag("th", "metric", scope="col"), *(tag("th", row.label, scope="col") for row in table.rows))
    rows = [
        tag("tr", tag("th", key(column.key), column.remark, scope="row"), *_plain(column, table.rows))
        for column in table.columns
    ]
    shown = tag("table", tag("thead", heads), tag("tbody", *rows))
    return joined([folded(f"All {len(table.columns)} metrics", box("every number", shown)), link])


def _plain(column: Column, rows: Sequence[Row]) -> list[Html]:
    cells = [(row, formats.at(row, column)) for row in rows]
    return [_line(row, column, cell) for row, cell in cells]


def _line(row: Row, column: Column, cell: Cell | Absent | None) -> Html:
    text = formats.cell_text(cell, column.unit, row.runs)[0]
    return tag("td", tag("strong", text) if column in row.best else text)

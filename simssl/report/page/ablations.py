"""The effect of one numeric parameter, where rows of one objective differ in it alone (the paper's figure 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simssl.report.columns import Column
from simssl.report.compare.estimate import Estimate
from simssl.report.labels import short_names
from simssl.report.numbers import estimate
from simssl.report.page.figures import Look, Looks, Point, PointPlot, axis_title
from simssl.report.runs import settings_of
from simssl.report.table import Row, Table

SEVERAL = 3
"""Values of the parameter that are needed for a plot."""


@dataclass(frozen=True)
class Ablation:
    """A plot for each metric of the summary."""

    parameter: str
    objective: str
    plots: Sequence[PointPlot]


Series = Sequence[tuple[float, Row]]
"""Rows in the order of the one setting in which they differ."""


def ablations(table: Table, looks: Looks) -> list[Ablation]:
    """An ablation of each objective whose rows differ in one number alone."""
    objectives: dict[str, list[Row]] = {}
    for row in table.rows:
        objectives.setdefault(row.objective, []).append(row)
    parts = []
    for name, rows in objectives.items():
        varied = _varied(rows)
        if varied is None:
            continue
        parameter, series = varied
        look = looks[rows[0].label]
        plots = []
        for column in table.summary:
            measured = [(value, row) for value, row in series if column in row.measured]
            if len(measured) >= SEVERAL:
                plot = _plot(parameter, measured, column, look)
                plots.append(plot)
        parts.append(Ablation(parameter, name, plots))
    return parts


def _varied(rows: Sequence[Row]) -> tuple[str, Series] | None:
    """The one setting in which the rows differ, and the rows in its order; None if it is not one, or no number."""
    settings = [settings_of(row.members[0]) for row in rows]
    first = settings[0]
    differing: set[str] = set()
    for own in settings:
        if own.keys() != first.keys():
            return None
        for key, value in own.items():
            if value != first[key]:
                differing.add(key)
    if len(rows) < SEVERAL or len(differing) != 1:
        return None
    key = differing.pop()
    series = []
    for own, row in zip(settings, rows, strict=True):
        value = own[key]
        if isinstance(value, bool):
            return None
        if not isinstance(value, (int, float)):
            return None
        series.append((value, row))
    series.sort(key=lambda pair: float(pair[0]))
    return short_names(settings)[key], series


def _plot(parameter: str, series: Series, column: Column, look: Look) -> PointPlot:
    points = []
    titles = []
    for value, row in series:
        ours = row.measured[column].ours
        number = estimate(ours, column.unit, row.runs)
        title = f"{row.label}: {number}"
        exact = Estimate(value, None, 1)
        point = Point(
            x=exact,
            y=ours,
            label=row.label,
            look=look,
            title=title,
        )
        points.append(point)
        titles.append(title)
    told = "; ".join(titles)
    return PointPlot(
        points,
        x_title=f"{parameter} →",
        y_title=f"↑ {axis_title(column)}",
        description=f"{column.key} by {parameter}: {told}",
        caption=f"{column.title} by {parameter}",
    )

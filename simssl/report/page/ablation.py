"""What one numeric parameter does, where rows of one objective differ in it alone (the paper's figure 8)."""

from __future__ import annotations

from collections.abc import Sequence

from simssl.report.columns import Column
from simssl.report.estimate import Estimate
from simssl.report.numbers import estimate
from simssl.report.page.elements import Html, joined, section, tag
from simssl.report.page.look import Look, Looks
from simssl.report.page.plots import Point, trend
from simssl.report.page.style_and_content import axis
from simssl.report.runs import settings_of
from simssl.report.table import Row, Table

SEVERAL = 3
"""Values of the parameter that are needed for a plot."""

Series = list[tuple[float, Row]]


def ablations(table: Table, looks: Looks, level: int) -> Html:
    """A part for each objective whose rows differ in one number alone: a plot for each metric of the summary."""
    objectives: dict[str, list[Row]] = {}
    for row in table.rows:
        objectives.setdefault(row.objective, []).append(row)
    parts = []
    for name, rows in objectives.items():
        if varied := _varied(rows):
            key, series = varied
            figures = [_figure(key, series, c, looks[rows[0].label]) for c in table.summary if _enough(series, c)]
            how = tag(
                "p", "Means over the seeds, with one standard error up and down; nothing else differs.", class_="how"
            )
            parts.append(section(level, f"{key} of {name}", how, tag("div", joined(figures), class_="plots")))
    return joined(parts)


def _varied(rows: Sequence[Row]) -> tuple[str, Series] | None:
    """The one setting in which the rows differ, and they in its order; None if it is not one, or no number."""
    flat = [settings_of(row.members[0]) for row in rows]
    differing = [key for key in flat[0] if any(own.get(key) != flat[0][key] for own in flat)]
    if len(rows) < SEVERAL or len(differing) != 1 or any(own.keys() != flat[0].keys() for own in flat):
        return None
    values = [own[differing[0]] for own in flat]
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return None
    series = sorted(zip(values, rows, strict=True), key=lambda pair: float(pair[0]))
    return differing[0].removeprefix("objective."), series


def _enough(series: Series, column: Column) -> bool:
    return sum(column in row.measured for _, row in series) >= SEVERAL


def _figure(key: str, series: Series, column: Column, look: Look) -> Html:
    points = [
        Point(Estimate(value, None, 1), ours, row.label, look, f"{row.label}: {estimate(ours, column.unit, row.runs)}")
        for value, row in series
        if column in row.measured
        for ours in [row.measured[column].ours]
    ]
    told = "; ".join(point.title for point in points)
    drawn = trend(points, f"{key} →", f"↑ {axis(column)}", f"{column.key} by {key}: {told}")
    return tag("figure", drawn, tag("figcaption", f"{column.title} by {key}"))

"""Content against style: which method keeps which, in sentences and in plots (the paper's figure 5)."""

from __future__ import annotations

from collections.abc import Sequence

from simssl.measurement.estimate import difference
from simssl.measurement.formats import estimate, signed
from simssl.measurement.page import words
from simssl.measurement.page.elements import Html, joined, section, tag
from simssl.measurement.page.look import Look, key_to_shapes
from simssl.measurement.page.plots import Point, scatter
from simssl.measurement.table import Column, Row, Table

MOST = 4
"""Plots; further style metrics stand in the tables."""

Pair = tuple[Column, Column]
"""A content metric and a style metric, of the same layer."""


def in_short(table: Table) -> Html:
    """Which method keeps most, and which least, of each metric of the plots, or else of the first content metric."""
    first = [c for c in table.summary if c.role == "content"][:1]
    columns = dict.fromkeys(column for pair in _pairs(table)[:MOST] for column in pair) or first
    sentences = [tag("li", sentence) for column in columns if (sentence := extremes(table, column))]
    return tag("ul", *sentences, class_="short") if sentences else Html()


def content_and_style(table: Table, looks: Sequence[Look], level: int) -> Html:
    """A plot for each style metric of the summary against the first content metric of the same layer."""
    pairs = _pairs(table)
    if not pairs:
        return Html()
    figures = [_figure(table, looks, x, y) for x, y in pairs[:MOST]]
    how = f"A point a method: its mean over the seeds, with one standard error each way. {key_to_shapes(table.rows)}."
    left_out = f" {len(pairs) - MOST} further style metrics stand in the tables." if len(pairs) > MOST else ""
    shown = tag("div", *figures, class_="plots")
    return section(level, "Content against style", shown, tag("p", how + left_out, class_="how"))


def _pairs(table: Table) -> list[Pair]:
    found = ((_content(table, y), y) for y in table.summary if y.role == "style")
    return [(x, y) for x, y in found if x and len(_both(table, x, y)) > 1]


def _content(table: Table, style: Column) -> Column | None:
    return next((c for c in table.summary if c.role == "content" and c.layer == style.layer), None)


def _both(table: Table, x: Column, y: Column) -> list[int]:
    return [i for i, row in enumerate(table.rows) if x in row.cells and y in row.cells]


def _figure(table: Table, looks: Sequence[Look], x: Column, y: Column) -> Html:
    points = [_point(table.rows[i], looks[i], x, y) for i in _both(table, x, y)]
    told = "; ".join(point.title for point in points)
    drawn = scatter(points, f"{axis(x)} →", f"↑ {axis(y)}", f"{y.key} against {x.key}: {told}")
    return tag("figure", drawn, tag("figcaption", f"Style ({y.title}) against content ({x.title})"))


def axis(column: Column) -> str:
    return column.key + (", lower is better" if column.better == "lower" else "")


def _point(row: Row, look: Look, x: Column, y: Column) -> Point:
    across, up = row.cells[x].ours, row.cells[y].ours
    numbers = [f"{c.key} {estimate(e, c.unit, row.runs)}" for c, e in ((x, across), (y, up))]
    return Point(across, up, row.label, look, f"{row.label}: {', '.join(numbers)}")


def extremes(table: Table, column: Column) -> Html | None:
    """Which of the trained methods keeps most, which least, and by how much they differ, seed by seed; None if they
    had not the same data, views, networks and budget."""
    trained = [row for row in table.rows if column in row.cells and row.family != "untrained"]
    alike = all(row.circumstances == trained[0].circumstances for row in trained)
    if len(trained) < 2 or column.better is None or not alike:
        return None
    ordered = sorted(trained, key=lambda row: row.cells[column].ours.mean, reverse=column.better == "higher")
    most, least = ordered[0], ordered[-1]
    gap = difference(least.cells[column].by_seed, most.cells[column].by_seed)
    shared = gap and gap.n == max(most.runs, least.runs)
    over = "seed by seed" if shared or not gap else f"over the {words.count(gap.n, 'seed')} that both have"
    by = f": a difference of {signed(gap, column.unit, gap.n)}, {over}" if gap else ""
    return joined(
        [
            f"{(column.role or column.label).capitalize()}, by {column.title}: most is kept by ",
            tag("b", most.label),
            f" ({_number(most, column)}), least by ",
            tag("b", least.label),
            f" ({_number(least, column)}){by}.",
        ]
    )


def _number(row: Row, column: Column) -> str:
    return estimate(row.cells[column].ours, column.unit, row.runs)

"""Content against style: which method keeps which, in sentences and in plots (the paper's figure 5)."""

from __future__ import annotations

from simssl.report import words
from simssl.report.columns import Column
from simssl.report.estimate import Estimate, difference
from simssl.report.numbers import estimate, signed
from simssl.report.page.elements import Html, joined, section, tag
from simssl.report.page.look import Look, Looks, key_to_shapes
from simssl.report.page.plots import Point, scatter
from simssl.report.table import Row, Table

MOST = 4
"""Plots; further style metrics stand in the tables."""

Pair = tuple[Column, Column]
"""A content metric and a style metric, of the same layer."""


def in_short(table: Table) -> Html:
    """Which method keeps most, and which least, of each metric of the plots, or else of the first content metric; at
    the same data, views, networks and budget."""
    sentences = [
        tag("li", sentence)
        for part in table.alike
        for column in _plotted(part)
        if (sentence := extremes(part, column, table.where(part)))
    ]
    return tag("ul", *sentences, class_="short") if sentences else Html()


def _plotted(table: Table) -> list[Column]:
    first = [c for c in table.summary if c.role == "content"][:1]
    return list(dict.fromkeys(column for pair in _pairs(table)[:MOST] for column in pair)) or first


def content_and_style(table: Table, looks: Looks, level: int) -> Html:
    """A plot for each style metric of the summary against the first content metric of the same layer; one for each
    data, views, networks and budget."""
    pairs = [(part, pair) for part in table.alike for pair in _pairs(part)[:MOST]]
    if not pairs:
        return Html()
    figures = [_figure(part, looks, x, y, table.where(part)) for part, (x, y) in pairs]
    how = f"A point a method: its mean over the seeds, with one standard error each way. {key_to_shapes(table.rows)}."
    more = sum(max(0, len(_pairs(part)) - MOST) for part in table.alike)
    left_out = f" {more} further style metrics stand in the tables." if more else ""
    shown = tag("div", *figures, class_="plots")
    return section(level, "Content against style", shown, tag("p", how + left_out, class_="how"))


def _pairs(table: Table) -> list[Pair]:
    """Of each evaluator the first style metric, then the second ones, and so on."""
    styles = [column for column in table.summary if column.role == "style"]
    of_label = {column: [c for c in styles if c.label == column.label].index(column) for column in styles}
    found = ((_content(table, y), y) for y in sorted(styles, key=lambda column: of_label[column]))
    return [(x, y) for x, y in found if x and len(_both(table, x, y)) > 1]


def _content(table: Table, style: Column) -> Column | None:
    return next((c for c in table.summary if c.role == "content" and c.layer == style.layer), None)


def _both(table: Table, x: Column, y: Column) -> list[Row]:
    return [row for row in table.rows if x in row.measured and y in row.measured]


def _figure(table: Table, looks: Looks, x: Column, y: Column, where: str) -> Html:
    points = [_point(row, looks[row.label], x, y) for row in _both(table, x, y)]
    told = "; ".join(point.title for point in points)
    drawn = scatter(points, f"{axis(x)} →", f"↑ {axis(y)}", f"{y.key} against {x.key}: {told}")
    said = f"Style ({y.title}) against content ({x.title}){f': {where}' if where else ''}"
    return tag("figure", drawn, tag("figcaption", said))


def axis(column: Column) -> str:
    return column.key + (f", {words.DIRECTIONS['lower']}" if column.better == "lower" else "")


def _point(row: Row, look: Look, x: Column, y: Column) -> Point:
    across, up = row.measured[x].ours, row.measured[y].ours
    numbers = [f"{c.key} {estimate(e, c.unit, row.runs)}" for c, e in ((x, across), (y, up))]
    return Point(across, up, row.label, look, f"{row.label}: {', '.join(numbers)}")


def extremes(table: Table, column: Column, where: str) -> Html | None:
    """Which of the trained methods keeps most, which least, and by how much they differ, seed by seed."""
    trained = [row for row in table.rows if column in row.measured and row.family != "untrained"]
    if len(trained) < 2 or column.better is None:
        return None
    ordered = sorted(trained, key=lambda row: row.measured[column].ours.mean, reverse=column.better == "higher")
    most, least = ordered[0], ordered[-1]
    gap = difference(least.measured[column].by_seed, most.measured[column].by_seed)
    name = f"{(column.role or column.label).capitalize()}, by {column.title}{f' ({where})' if where else ''}"
    return joined(
        [
            f"{name}: of the trained methods, most is kept by ",
            tag("b", most.label),
            f" ({_number(most, column)}), least by ",
            tag("b", least.label),
            f" ({_number(least, column)}){_by(gap, column, max(most.runs, least.runs)) if gap else ''}.",
        ]
    )


def _by(gap: Estimate, column: Column, runs: int) -> str:
    """The difference, over how many seeds, and whether it is more than chance may make."""
    text = f": a difference of {signed(gap, column.unit, gap.n)}"
    if gap.stderr is None:
        return f"{text}, of one seed, so without a standard error"
    over = "seed by seed" if gap.n == runs else f"over the {words.count(gap.n, 'seed')} that both have"
    within = abs(gap.mean) <= gap.stderr
    return f"{text}, {over}" + (", within its standard error: they cannot be told apart" if within else "")


def _number(row: Row, column: Column) -> str:
    return estimate(row.measured[column].ours, column.unit, row.runs)

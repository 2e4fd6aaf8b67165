"""Content against style: which method keeps which, in sentences and in plots (the paper's figure 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simssl.report import words
from simssl.report.columns import Column
from simssl.report.compare.best import several_settings
from simssl.report.compare.estimate import Estimate, difference
from simssl.report.numbers import estimate, signed
from simssl.report.page.figures import Look, Looks, Point, PointPlot, axis_title, key_to_shapes
from simssl.report.table import Row, Table

MOST = 4
"""Most plots at the same data, views, networks and budget; further style metrics stand in the tables."""

Pair = tuple[Column, Column]
"""A content metric and a style metric, of the same layer and data set."""


@dataclass(frozen=True)
class Extremes:
    """The trained methods that keep most and least, at one data, views, networks and budget."""

    where: str
    """The data, views, networks or budget; empty if there are no others."""
    most: str
    most_number: str
    least: str
    least_number: str
    difference: str
    """The end of the sentence; empty if the two share no seed."""


@dataclass(frozen=True)
class ContentAgainstStyle:
    extremes: Mapping[str, Sequence[Extremes]]
    """Those of each metric."""
    plots: Sequence[PointPlot]
    shapes: str
    """The shape of each family."""
    left_out: int
    """The number of style metrics that have no plot."""


def content_against_style(table: Table, alike: Sequence[tuple[Table, str]], looks: Looks) -> ContentAgainstStyle:
    """A plot for each style metric of the summary against the first content metric of the same layer, and a sentence
    for each metric of the plots, or else for the first content metric.

    `alike` has a table for each data, views, networks and budget, with what tells it from the others.
    """
    extremes: dict[str, list[Extremes]] = {}
    plots = []
    left_out = 0
    for part, where in alike:
        pairs = _pairs(part)
        plotted = pairs[:MOST]
        left_out += len(pairs) - len(plotted)
        for x, y in plotted:
            plot = _plot(part, looks, x, y, where)
            plots.append(plot)
        for column in _told(part, plotted):
            sentence = _extremes(part, column, where)
            if sentence:
                kept = column.role or column.label
                metric = f"{kept.capitalize()}, by {column.title}"
                extremes.setdefault(metric, []).append(sentence)
    return ContentAgainstStyle(
        extremes=extremes,
        plots=plots,
        shapes=key_to_shapes(table.rows),
        left_out=left_out,
    )


def _pairs(table: Table) -> list[Pair]:
    """The first style metric of each evaluator, then the second ones, and so on; each with its content metric."""
    styles = [column for column in table.summary if column.role == "style"]
    of_label: Counter[str] = Counter()
    ranks = {}
    for column in styles:
        ranks[column] = of_label[column.label]
        of_label[column.label] += 1
    pairs = []
    for style in sorted(styles, key=lambda column: ranks[column]):
        content = _content(table, style)
        if content and len(_both(table, content, style)) > 1:
            pairs.append((content, style))
    return pairs


def _content(table: Table, style: Column) -> Column | None:
    for column in table.summary:
        if column.role != "content":
            continue
        if (column.layer, column.dataset) == (style.layer, style.dataset):
            return column
    return None


def _both(table: Table, x: Column, y: Column) -> list[Row]:
    return [row for row in table.rows if x in row.measured and y in row.measured]


def _told(table: Table, plotted: Sequence[Pair]) -> list[Column]:
    """The metrics of which a sentence is said, each once."""
    columns: list[Column] = []
    for pair in plotted:
        for column in pair:
            if column not in columns:
                columns.append(column)
    if columns:
        return columns
    for column in table.summary:
        if column.role == "content":
            return [column]
    return []


def _plot(table: Table, looks: Looks, x: Column, y: Column, where: str) -> PointPlot:
    points = []
    titles = []
    for row in _both(table, x, y):
        look = looks[row.label]
        point = _point(row, look, x, y, where)
        points.append(point)
        titles.append(point.title)
    told = "; ".join(titles)
    caption = f"Style ({y.title}) against content ({x.title})"
    if where:
        caption += f": {where}"
    return PointPlot(
        points,
        x_title=f"{axis_title(x)} →",
        y_title=f"↑ {axis_title(y)}",
        description=f"{y.key} against {x.key}: {told}",
        caption=caption,
    )


def _point(row: Row, look: Look, x: Column, y: Column, where: str) -> Point:
    label = row.label_among(where)
    content = f"{x.key} {_number(row, x)}"
    style = f"{y.key} {_number(row, y)}"
    return Point(
        x=row.measured[x].ours,
        y=row.measured[y].ours,
        label=label,
        look=look,
        title=f"{label}: {content}, {style}",
    )


def _number(row: Row, column: Column) -> str:
    ours = row.measured[column].ours
    return estimate(ours, column.unit, row.runs)


def _extremes(table: Table, column: Column, where: str) -> Extremes | None:
    """The trained methods that keep most and least, and their difference, seed by seed.

    None if there are no two, or if one of them is one of several settings of a method: it would be chosen on test.
    """
    measured = [row for row in table.rows if column in row.measured]
    trained = [row for row in measured if row.family != "untrained"]
    if len(trained) < 2 or column.better is None:
        return None
    highest_first = column.better == "higher"
    ordered = sorted(trained, key=lambda row: row.measured[column].ours.mean, reverse=highest_first)
    most = ordered[0]
    least = ordered[-1]
    if {most.objective, least.objective} & set(several_settings(trained)):
        return None
    ours = least.measured[column].by_seed
    theirs = most.measured[column].by_seed
    gap = difference(ours, theirs)
    by = ""
    if gap:
        runs = max(most.runs, least.runs)
        by = _by(gap, column, runs)
    return Extremes(
        where=where,
        most=most.label_among(where),
        most_number=_number(most, column),
        least=least.label_among(where),
        least_number=_number(least, column),
        difference=by,
    )


def _by(gap: Estimate, column: Column, runs: int) -> str:
    """The difference, its number of seeds, and a remark if chance may make it."""
    value = signed(gap, column.unit, gap.n)
    text = f": a difference of {value}"
    if gap.stderr is None:
        return f"{text}, of one seed, so without a standard error"
    if gap.n == runs:
        text += ", seed by seed"
    else:
        seeds = words.count(gap.n, "seed")
        text += f", over the {seeds} that both have"
    if abs(gap.mean) <= gap.stderr:
        text += ", within its standard error: they cannot be told apart"
    return text

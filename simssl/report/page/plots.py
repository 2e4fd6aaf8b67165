"""The plots of the page: points with error bars, and bars about zero; each an SVG of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from simssl.report.compare.estimate import Estimate
from simssl.report.page.figures import BarPlot, Point, PointPlot
from simssl.report.page.labels import Rectangle, lay_out
from simssl.report.page.svg import (
    SIZE,
    Position,
    Scale,
    axis_x,
    axis_y,
    bar,
    line,
    mark,
    path,
    plot,
    shown,
    text,
    width_of,
)
from simssl.report.words import all_short

WIDTH = 400
HEIGHT = 290
LEFT = 52
RIGHT = WIDTH - 12
TOP = 28
BOTTOM = HEIGHT - 44
"""The size of a plot, and the edges of its frame."""

FAR = 15
"""Distance of a name from its point from which a line leads to it."""


def scatter(figure: PointPlot) -> Markup:
    """A point for each method, named, with a standard error each way."""
    points = figure.points
    across = _all_ends(point.x for point in points)
    up = _all_ends(point.y for point in points)
    x = Scale.of(across, LEFT, RIGHT)
    y = Scale.of(up, BOTTOM, TOP)
    drawn = []
    positions = []
    bars = []
    for point in points:
        at_x = x(point.x.mean)
        at_y = y(point.y.mean)
        left, right = map(x, point.x.ends)
        low, high = map(y, point.y.ends)
        error = f"error {point.look.colour}"
        drawn += [
            line(left, at_y, right, at_y, error),
            line(at_x, low, at_x, high, error),
            mark(point.look, at_x, at_y, point.title),
        ]
        positions.append((at_x, at_y))
        bars += [
            Rectangle(left, at_y - 1, right, at_y + 1),
            Rectangle(at_x - 1, high, at_x + 1, low),
        ]
    drawn += _names(points, positions, bars)
    return _between_axes(figure, x, x.ticks(), y, drawn)


def _all_ends(values: Iterable[Estimate]) -> list[float]:
    ends: list[float] = []
    for value in values:
        ends += value.ends
    return ends


def _names(points: Sequence[Point], positions: Sequence[Position], drawn: Sequence[Rectangle]) -> list[Markup]:
    """The points' labels, and a line to each that had to go further away."""
    frame = Rectangle(LEFT, TOP - 8, WIDTH, BOTTOM)
    names = all_short([point.label for point in points])
    spots = lay_out(positions, names, frame, drawn)
    elements = []
    for point, (x, y), name, spot in zip(points, positions, names, spots, strict=True):
        class_ = f"name {point.look.colour}"
        near_x, near_y = spot.nearest(x, y)
        distance = abs(near_x - x) + abs(near_y - y)
        if distance > FAR:
            leader = line(x, y, near_x, near_y, "leader")
            elements.append(leader)
        label = text(spot.left, spot.baseline, name, class_)
        elements.append(label)
    return elements


def _between_axes(figure: PointPlot, x: Scale, x_ticks: Sequence[float], y: Scale, drawn: Sequence[Markup]) -> Markup:
    elements = [
        *axis_y(y, LEFT, RIGHT),
        *axis_x(x, BOTTOM, x_ticks, TOP),
        *drawn,
        text(2, SIZE + 2, figure.y_title, "title"),
        text(RIGHT, HEIGHT - 4, figure.x_title, "title", "end"),
    ]
    return plot(WIDTH, HEIGHT, figure.description, elements)


def trend(figure: PointPlot) -> Markup:
    """Points of one method in the order of x, joined; the ticks are their own values."""
    points = figure.points
    values = [point.x.mean for point in points]
    least = min(values)
    log = least > 0 and max(values) >= 8 * least
    up = _all_ends(point.y for point in points)
    x = Scale.of(values, LEFT, RIGHT, log)
    y = Scale.of(up, BOTTOM, TOP)
    positions = []
    look = points[0].look
    drawn = []
    for point in points:
        at_x = x(point.x.mean)
        at_y = y(point.y.mean)
        low, high = map(y, point.y.ends)
        positions.append((at_x, at_y))
        drawn += [
            line(at_x, low, at_x, high, f"error {look.colour}"),
            mark(look, at_x, at_y, point.title),
        ]
    curve = path(positions, f"curve {look.colour}")
    ticks = apart(values, x)
    return _between_axes(figure, x, ticks, y, [curve, *drawn])


def apart(values: Sequence[float], scale: Scale, told: Callable[[float], str] = shown) -> list[float]:
    """Those whose ticks do not run into the one before."""
    kept: list[float] = []
    for value in sorted(set(values)):
        if kept:
            room = width_of(told(value)) + 4
            distance = scale(value) - scale(kept[-1])
            if distance <= room:
                continue
        kept.append(value)
    return kept


def bar_chart(figure: BarPlot) -> Markup:
    """A bar from zero for each name, with its standard error."""
    bars = figure.bars
    left = max(map(width_of, bars)) + 8
    top = 4
    step = SIZE + 5
    bottom = top + step * len(bars)
    values = [0.0, *_all_ends(figure.scale_over)]
    x = Scale.of(values, left, RIGHT)
    zero = x(0)
    drawn = axis_x(x, bottom, x.ticks(4), top)
    drawn.append(line(zero, top, zero, bottom, "axis"))
    for i, (name, value) in enumerate(bars.items()):
        middle = top + step * (i + 0.5)
        start, end = sorted((zero, x(value.mean)))
        low, high = map(x, value.ends)
        width = end - start
        title = f"{name}: {shown(value.mean)}"
        drawn += [
            text(left - 6, middle + 4, name, "tick", "end"),
            bar(start, middle - 5, width, 10, figure.looks[name], title),
            line(low, middle, high, middle, "whisker"),
        ]
    height = bottom + SIZE + 10
    return plot(WIDTH, height, figure.description, drawn)

"""The plots of the page: points with error bars, bars about zero, and curves; each an SVG of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simssl.report.estimate import Estimate
from simssl.report.page.elements import Html, tag
from simssl.report.page.labels import Rectangle, place
from simssl.report.page.look import Look, marker
from simssl.report.page.svg import SIZE, Scale, axis_x, axis_y, line, path, plot, shown, text, width_of
from simssl.report.words import short

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 400, 290, 52, 12, 28, 44
"""Of a plot, and of the room around it."""


@dataclass(frozen=True)
class Point:
    x: Estimate
    y: Estimate
    label: str
    look: Look
    title: str
    """What is told where the pointer rests."""


def _ends(value: Estimate) -> tuple[float, float]:
    error = value.stderr or 0.0
    return value.mean - error, value.mean + error


def _titles(x_title: str, y_title: str) -> list[Html]:
    return [
        text(2, SIZE + 2, y_title, class_="title"),
        text(WIDTH - RIGHT, HEIGHT - 4, x_title, "end", class_="title"),
    ]


def _frame(x: Scale, ticks: Sequence[float], y: Scale) -> list[Html]:
    return [axis_y(y, LEFT, WIDTH - RIGHT), axis_x(x, HEIGHT - BOTTOM, ticks, TOP)]


def scatter(points: Sequence[Point], x_title: str, y_title: str, description: str) -> Html:
    """A point for each method, named, with a standard error each way."""
    x = Scale.of([end for p in points for end in _ends(p.x)], LEFT, WIDTH - RIGHT)
    y = Scale.of([end for p in points for end in _ends(p.y)], HEIGHT - BOTTOM, TOP)
    drawn, bars = [], []
    for p in points:
        (left, right), (low, high) = map(x, _ends(p.x)), map(y, _ends(p.y))
        at_x, at_y = x(p.x.mean), y(p.y.mean)
        bars += [Rectangle(left, at_y - 1, right, at_y + 1), Rectangle(at_x - 1, high, at_x + 1, low)]
        drawn += [
            line(left, at_y, right, at_y, f"error {p.look.colour}"),
            line(at_x, low, at_x, high, f"error {p.look.colour}"),
            marker(p.look, at_x, at_y, p.title),
        ]
    frame = Rectangle(LEFT, TOP - 8, WIDTH, HEIGHT - BOTTOM)
    names = _names(points, [(x(p.x.mean), y(p.y.mean)) for p in points], frame, bars)
    return plot(WIDTH, HEIGHT, description, *_frame(x, x.ticks(), y), *drawn, *names, *_titles(x_title, y_title))


def _names(
    points: Sequence[Point], places: Sequence[tuple[float, float]], frame: Rectangle, drawn: Sequence[Rectangle]
) -> list[Html]:
    """The points' labels, and a line to each that had to go further away."""
    names = [short(point.label) for point in points]
    names = [point.label if names.count(name) > 1 else name for point, name in zip(points, names, strict=True)]
    found = []
    for point, (x, y), name, spot in zip(points, places, names, place(places, names, frame, drawn), strict=True):
        near = min(max(x, spot.left), spot.right)
        if abs(near - x) + abs(spot.baseline - y) > 24:
            found.append(line(x, y, near, spot.baseline - SIZE / 3, "leader"))
        found.append(text(spot.left, spot.baseline, name, class_=f"name {point.look.colour}"))
    return found


def trend(points: Sequence[Point], x_title: str, y_title: str, description: str) -> Html:
    """Points of one method in the order of x, joined; the ticks are their own values."""
    values = [p.x.mean for p in points]
    log = min(values) > 0 and max(values) >= 8 * min(values)
    x = Scale.of(values, LEFT, WIDTH - RIGHT, log)
    y = Scale.of([end for p in points for end in _ends(p.y)], HEIGHT - BOTTOM, TOP)
    drawn = [path([(x(p.x.mean), y(p.y.mean)) for p in points], f"curve {points[0].look.colour}")]
    for p in points:
        low, high = _ends(p.y)
        at_x = x(p.x.mean)
        drawn += [
            line(at_x, y(low), at_x, y(high), f"error {p.look.colour}"),
            marker(p.look, at_x, y(p.y.mean), p.title),
        ]
    return plot(WIDTH, HEIGHT, description, *_frame(x, _apart(values, x), y), *drawn, *_titles(x_title, y_title))


def _apart(values: Sequence[float], scale: Scale) -> list[float]:
    """Those whose ticks do not run into the one before."""
    kept: list[float] = []
    for value in sorted(set(values)):
        room = width_of(shown(value)) + 4
        if not kept or scale(value) - scale(kept[-1]) > room:
            kept.append(value)
    return kept


def bar_chart(values: Mapping[str, Estimate], scale_over: Sequence[Estimate], look: Look, description: str) -> Html:
    """A bar from zero for each name, with its standard error; the scale is shared by all of `scale_over`."""
    left = max(map(width_of, values)) + 8
    step, top = SIZE + 5, 4
    bottom = top + step * len(values)
    x = Scale.of([0.0, *(end for value in scale_over for end in _ends(value))], left, WIDTH - RIGHT)
    drawn = [axis_x(x, bottom, x.ticks(4), top), line(x(0), top, x(0), bottom, "axis")]
    for i, (name, value) in enumerate(values.items()):
        middle = top + step * (i + 0.5)
        from_, to = sorted((x(0), x(value.mean)))
        low, high = _ends(value)
        told = tag("title", f"{name}: {shown(value.mean)}")
        size = {"x": f"{from_:.1f}", "y": f"{middle - 5:.1f}", "width": f"{to - from_:.1f}", "height": 10}
        drawn += [
            text(left - 6, middle + 4, name, "end", "tick"),
            tag("rect", told, **size, class_=f"bar {look.colour}"),
            line(x(low), middle, x(high), middle, "whisker"),
        ]
    return plot(WIDTH, bottom + SIZE + 10, description, *drawn)


CURVES_WIDTH, CURVES_HEIGHT, CURVES_LEFT = 180, 125, 50


def curves(name: str, found: Sequence[Sequence[tuple[float, float]]], look: Look, description: str) -> Html:
    """One term over the steps, a line for each run. The axis is made for what follows the first tenth of the steps,
    whose values may lie far outside."""
    right, bottom, top = CURVES_WIDTH - 6, CURVES_HEIGHT - 18, 20
    last = max(step for points in found for step, _ in points)
    x = Scale(0, last, CURVES_LEFT, right)
    y = Scale.of([value for points in found for step, value in points if step >= last / 10], bottom, top)
    lines = [
        path([(x(step), min(max(y(value), top - 4), bottom)) for step, value in points], f"curve {look.colour}")
        for points in found
    ]
    frame = [axis_y(y, CURVES_LEFT, right, 3), line(CURVES_LEFT, bottom, right, bottom, "axis")]
    steps = text(right, CURVES_HEIGHT - 4, f"{last:,.0f} steps", "end", "tick")
    return plot(CURVES_WIDTH, CURVES_HEIGHT, description, *frame, *lines, steps, text(2, SIZE, name, class_="title"))

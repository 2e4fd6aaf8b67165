"""The plots of the page: points with error bars, bars about zero, and curves; each an SVG of its own."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from simssl.report.estimate import Estimate
from simssl.report.page.figures import BarPlot, CurvePlot, Point, PointPlot
from simssl.report.page.labels import Rectangle, lay_out
from simssl.report.page.svg import SIZE, Scale, axis_x, axis_y, bar, line, mark, path, plot, shown, text, width_of
from simssl.report.words import short

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 400, 290, 52, 12, 28, 44
"""The size of a plot, and of the room around it."""

CURVES_WIDTH, CURVES_HEIGHT, CURVES_LEFT = 180, 125, 50
"""The same of a plot of curves."""

FAR = 24
"""Distance of a name from its point from which a line leads to it."""


def scatter(figure: PointPlot) -> Markup:
    """A point for each method, named, with a standard error each way."""
    points = figure.points
    x = Scale.of(_all_ends([p.x for p in points]), LEFT, WIDTH - RIGHT)
    y = Scale.of(_all_ends([p.y for p in points]), HEIGHT - BOTTOM, TOP)
    drawn = []
    bars = []
    for p in points:
        left, right = map(x, _ends(p.x))
        low, high = map(y, _ends(p.y))
        at_x = x(p.x.mean)
        at_y = y(p.y.mean)
        bars.append(Rectangle(left, at_y - 1, right, at_y + 1))
        bars.append(Rectangle(at_x - 1, high, at_x + 1, low))
        drawn.append(line(left, at_y, right, at_y, f"error {p.look.colour}"))
        drawn.append(line(at_x, low, at_x, high, f"error {p.look.colour}"))
        drawn.append(mark(p.look, at_x, at_y, p.title))
    drawn += _names(points, [(x(p.x.mean), y(p.y.mean)) for p in points], bars)
    return _between_axes(figure, x, x.ticks(), y, drawn)


def _ends(value: Estimate) -> tuple[float, float]:
    error = value.stderr or 0.0
    return value.mean - error, value.mean + error


def _all_ends(values: Sequence[Estimate]) -> list[float]:
    ends: list[float] = []
    for value in values:
        ends += _ends(value)
    return ends


def _names(
    points: Sequence[Point], positions: Sequence[tuple[float, float]], drawn: Sequence[Rectangle]
) -> list[Markup]:
    """The points' labels, and a line to each that had to go further away."""
    shortened = [short(point.label) for point in points]
    names = []
    for point, name in zip(points, shortened, strict=True):
        names.append(point.label if shortened.count(name) > 1 else name)
    frame = Rectangle(LEFT, TOP - 8, WIDTH, HEIGHT - BOTTOM)
    spots = lay_out(positions, names, frame, drawn)
    elements = []
    for point, (x, y), name, spot in zip(points, positions, names, spots, strict=True):
        near = min(max(x, spot.left), spot.right)
        if abs(near - x) + abs(spot.baseline - y) > FAR:
            elements.append(line(x, y, near, spot.baseline - SIZE / 3, "leader"))
        elements.append(text(spot.left, spot.baseline, name, f"name {point.look.colour}"))
    return elements


def _between_axes(figure: PointPlot, x: Scale, x_ticks: Sequence[float], y: Scale, drawn: Sequence[Markup]) -> Markup:
    elements = axis_y(y, LEFT, WIDTH - RIGHT)
    elements += axis_x(x, HEIGHT - BOTTOM, x_ticks, TOP)
    elements += drawn
    elements.append(text(2, SIZE + 2, figure.y_title, "title"))
    elements.append(text(WIDTH - RIGHT, HEIGHT - 4, figure.x_title, "title", "end"))
    return plot(WIDTH, HEIGHT, figure.description, elements)


def trend(figure: PointPlot) -> Markup:
    """Points of one method in the order of x, joined; the ticks are their own values."""
    points = figure.points
    values = [p.x.mean for p in points]
    log = min(values) > 0 and max(values) >= 8 * min(values)
    x = Scale.of(values, LEFT, WIDTH - RIGHT, log)
    y = Scale.of(_all_ends([p.y for p in points]), HEIGHT - BOTTOM, TOP)
    curve = [(x(p.x.mean), y(p.y.mean)) for p in points]
    drawn = [path(curve, f"curve {points[0].look.colour}")]
    for p, (at_x, at_y) in zip(points, curve, strict=True):
        low, high = map(y, _ends(p.y))
        drawn.append(line(at_x, low, at_x, high, f"error {p.look.colour}"))
        drawn.append(mark(p.look, at_x, at_y, p.title))
    return _between_axes(figure, x, _apart(values, x), y, drawn)


def _apart(values: Sequence[float], scale: Scale) -> list[float]:
    """Those whose ticks do not run into the one before."""
    kept: list[float] = []
    for value in sorted(set(values)):
        room = width_of(shown(value)) + 4
        if not kept or scale(value) - scale(kept[-1]) > room:
            kept.append(value)
    return kept


def bar_chart(figure: BarPlot) -> Markup:
    """A bar from zero for each name, with its standard error."""
    left = max(map(width_of, figure.bars)) + 8
    step = SIZE + 5
    top = 4
    bottom = top + step * len(figure.bars)
    x = Scale.of([0.0, *_all_ends(figure.scale_over)], left, WIDTH - RIGHT)
    drawn = axis_x(x, bottom, x.ticks(4), top)
    drawn.append(line(x(0), top, x(0), bottom, "axis"))
    for i, (name, value) in enumerate(figure.bars.items()):
        middle = top + step * (i + 0.5)
        start, end = sorted((x(0), x(value.mean)))
        low, high = map(x, _ends(value))
        title = f"{name}: {shown(value.mean)}"
        drawn.append(text(left - 6, middle + 4, name, "tick", "end"))
        drawn.append(bar(start, middle - 5, end - start, 10, figure.look, title))
        drawn.append(line(low, middle, high, middle, "whisker"))
    return plot(WIDTH, bottom + SIZE + 10, figure.description, drawn)


def curves(figure: CurvePlot) -> Markup:
    """One term over the steps, a line for each run. The y axis is made for what follows the first tenth of the steps,
    whose values may lie far outside."""
    left = CURVES_LEFT
    right = CURVES_WIDTH - 6
    bottom = CURVES_HEIGHT - 18
    top = 20
    points = [point for curve in figure.curves for point in curve]
    last = max(step for step, _ in points)
    x = Scale(0, last, left, right)
    y = Scale.of([value for step, value in points if step >= last / 10], bottom, top)
    drawn = axis_y(y, left, right, 3)
    drawn.append(line(left, bottom, right, bottom, "axis"))
    for curve in figure.curves:
        within = [(x(step), min(max(y(value), top - 4), bottom)) for step, value in curve]
        drawn.append(path(within, f"curve {figure.look.colour}"))
    drawn.append(text(right, CURVES_HEIGHT - 4, f"{last:,.0f} steps", "tick", "end"))
    drawn.append(text(2, SIZE, figure.name, "title"))
    return plot(CURVES_WIDTH, CURVES_HEIGHT, figure.description, drawn)

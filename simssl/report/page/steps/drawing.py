"""The plots over the steps of a training: the terms of a loss, and what was measured on the way."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from simssl.report.page.figures import CurvePlot, Level, MethodCurve, OverTimePlot
from simssl.report.page.plots import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, apart
from simssl.report.page.svg import (
    SIZE,
    Position,
    Scale,
    axis_x,
    axis_y,
    briefly,
    line,
    mark,
    path,
    plot,
    text,
    width_of,
)
from simssl.report.words import all_short

CURVES_WIDTH = 320
CURVES_HEIGHT = 200
CURVES_LEFT = 52
CURVES_RIGHT = CURVES_WIDTH - 6
CURVES_TOP = 24
CURVES_BOTTOM = CURVES_HEIGHT - 20
"""The same of a plot of curves."""

BESIDE = 14
"""Room between the ends of curves and their names."""

LINE_HEIGHT = 1.2 * SIZE
"""How far names are apart at least."""

AT_ZERO = 22
"""Room at the left of a logarithmic axis for what was measured before the first step."""


def curves(figure: CurvePlot) -> Markup:
    """One term over the steps, a line for each run. The y axis is made for what follows the first tenth of the steps,
    whose values may lie far outside."""
    points = [point for curve in figure.curves for point in curve]
    last = max(step for step, _ in points)
    values = [value for step, value in points if step >= last / 10]
    x = Scale(0, last, CURVES_LEFT, CURVES_RIGHT)
    y = Scale.of(values, CURVES_BOTTOM, CURVES_TOP)
    class_ = f"curve {figure.look.colour}"
    drawn = [
        *axis_y(y, CURVES_LEFT, CURVES_RIGHT, 4),
        line(CURVES_LEFT, CURVES_BOTTOM, CURVES_RIGHT, CURVES_BOTTOM, "axis"),
    ]
    for curve in figure.curves:
        within = []
        for step, value in curve:
            at_x = x(step)
            at_y = max(y(value), CURVES_TOP - 4)
            at_y = min(at_y, CURVES_BOTTOM)
            within.append((at_x, at_y))
        drawn.append(path(within, class_))
    drawn += [
        text(CURVES_RIGHT, CURVES_HEIGHT - 4, f"{last:,.0f} steps", "tick", "end"),
        text(2, SIZE, figure.name, "title"),
    ]
    return plot(CURVES_WIDTH, CURVES_HEIGHT, figure.description, drawn)


def over_views(figure: OverTimePlot) -> Markup:
    """A line for each method: the means over its seeds, with a standard error up and down. Names stand on the right."""
    return plot(WIDTH, HEIGHT, figure.description, drawn_over_views(figure, WIDTH))


def drawn_over_views(
    figure: OverTimePlot, width: float, levels: Sequence[Level] = (), log: bool | None = None
) -> list[Markup]:
    """The elements of a plot of this width, with a broken line for each level. `log` says whether the axis of the views
    is logarithmic; where it is None, the views decide."""
    labels = all_short([curve.label for curve in figure.curves]) + [level.label for level in levels]
    right = max(width / 2, width - 12 - BESIDE - max(map(width_of, labels)))
    x = ViewsScale(figure.curves, right, log)
    ends = [end for curve in figure.curves for point in curve.points for end in point.value.ends]
    y = Scale.of([*ends, *(level.value for level in levels)], BOTTOM, TOP)
    drawn: list[Markup] = []
    ends_of_lines: list[Position] = []
    for curve in figure.curves:
        positions = [(x(point.views), y(point.value.mean)) for point in curve.points]
        for point in curve.points:
            at_x = x(point.views)
            low, high = map(y, point.value.ends)
            drawn.append(line(at_x, low, at_x, high, f"error {curve.look.colour}"))
        drawn.append(path(positions, f"curve {curve.look.colour}"))
        drawn.append(mark(curve.look, *positions[-1], curve.title))
        ends_of_lines.append(positions[-1])
    for level in levels:
        height = y(level.value)
        drawn.append(line(LEFT, height, right, height, f"level {level.look.colour}"))
        ends_of_lines.append((right, height))
    classes = [f"name {curve.look.colour}" for curve in figure.curves]
    classes += [f"told {level.look.colour}" for level in levels]
    return [
        *axis_y(y, LEFT, right),
        *x.axis(),
        *drawn,
        *names_beside(labels, classes, ends_of_lines, right + BESIDE),
        text(2, SIZE + 2, figure.name, "title"),
        text(right, HEIGHT - 4, "views \N{RIGHTWARDS ARROW}", "title", "end"),
    ]


def names_beside(labels: Sequence[str], classes: Sequence[str], ends: Sequence[Position], left: float) -> list[Markup]:
    """The names of lines on the right of a plot, each at the height of its end or as near as the others let it."""
    heights = spread([y for _, y in ends], LINE_HEIGHT, TOP, BOTTOM)
    elements = []
    for label, class_, (x, y), height in zip(labels, classes, ends, heights, strict=True):
        elements.append(line(x, y, left - 2, height, "leader"))
        elements.append(text(left, height + 0.35 * SIZE, label, class_))
    return elements


def spread(values: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Values so far apart from one another, in the same order, between these limits if there is room for all of them.

    They are pushed up from the lowest to the highest, and then back below the upper limit.
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    pushed = list(values)
    least = low
    for i in order:
        pushed[i] = max(pushed[i], least)
        least = pushed[i] + apart
    most = high
    for i in reversed(order):
        pushed[i] = min(pushed[i], most)
        most = pushed[i] - apart
    return pushed


class ViewsScale:
    """A map from the views that were shown to positions: logarithmic where most measurements came early, or as told."""

    def __init__(self, curves: Sequence[MethodCurve], right: float, log: bool | None = None) -> None:
        every = sorted({point.views for curve in curves for point in curve.points})
        views = [value for value in every if value]
        early = bool(views) and views[len(views) // 2] < views[-1] / 8
        self._log = early if log is None else log and len(views) > 1
        last = views[-1] if views else 1
        if self._log:
            self._zero = 0 in every
            self._scale = Scale(views[0], last, LEFT + AT_ZERO * self._zero, right, log=True)
        else:
            self._scale = Scale(0, last, LEFT, right)

    def __call__(self, views: int) -> float:
        return self._scale(views) if views or not self._log else LEFT

    def axis(self) -> list[Markup]:
        """Ticks with their values: round ones; on a logarithmic axis powers of ten, or parts of them, after 0."""
        if not self._log:
            return axis_x(self._scale, BOTTOM, self._scale.ticks(), TOP)
        ticks = apart(self._scale.powers(), self._scale, briefly)
        drawn = axis_x(self._scale, BOTTOM, ticks, TOP, briefly)
        if self._zero:
            start = line(LEFT, BOTTOM, LEFT + AT_ZERO, BOTTOM, "axis")
            drawn += [start, text(LEFT, BOTTOM + SIZE + 4, "0", "tick", "middle")]
        return drawn

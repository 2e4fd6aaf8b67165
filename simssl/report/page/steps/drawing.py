"""The plots over the steps of a training: the terms of a loss, and what was measured on the way."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from simssl.report.page.figures import CurvePlot, Look, MethodCurve, OverTimePlot
from simssl.report.page.plots import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from simssl.report.page.svg import SIZE, Position, Scale, axis_x, axis_y, line, mark, path, plot, text, width_of
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
    labels = all_short([curve.label for curve in figure.curves])
    right = max(WIDTH / 2, RIGHT - BESIDE - max(map(width_of, labels)))
    x = ViewsScale(figure.curves, right)
    ends = [end for curve in figure.curves for point in curve.points for end in point.ends]
    y = Scale.of(ends, BOTTOM, TOP)
    drawn: list[Markup] = []
    ends_of_curves: list[Position] = []
    for curve in figure.curves:
        positions = [(x(point.views), y(point.value.mean)) for point in curve.points]
        for point in curve.points:
            at_x = x(point.views)
            low, high = map(y, point.ends)
            drawn.append(line(at_x, low, at_x, high, f"error {curve.look.colour}"))
        drawn.append(path(positions, f"curve {curve.look.colour}"))
        drawn.append(mark(curve.look, *positions[-1], curve.title))
        ends_of_curves.append(positions[-1])
    looks = [curve.look for curve in figure.curves]
    elements = [
        *axis_y(y, LEFT, right),
        *x.axis(),
        *drawn,
        *_names(labels, looks, ends_of_curves, right + BESIDE),
        text(2, SIZE + 2, figure.name, "title"),
        text(right, HEIGHT - 4, "views \N{RIGHTWARDS ARROW}", "title", "end"),
    ]
    return plot(WIDTH, HEIGHT, figure.description, elements)


def _names(labels: Sequence[str], looks: Sequence[Look], ends: Sequence[Position], left: float) -> list[Markup]:
    """The names of curves on the right of a plot, each at the height of its end or as near as the others let it."""
    heights = spread([y for _, y in ends], LINE_HEIGHT, TOP, BOTTOM)
    elements = []
    for label, look, (x, y), height in zip(labels, looks, ends, heights, strict=True):
        elements.append(line(x, y, left - 2, height, "leader"))
        elements.append(text(left, height + 0.35 * SIZE, label, f"name {look.colour}"))
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
    """A map from the views that were shown to positions: logarithmic where most measurements came early."""

    def __init__(self, curves: Sequence[MethodCurve], right: float) -> None:
        views = sorted({point.views for curve in curves for point in curve.points if point.views})
        self._log = bool(views) and views[len(views) // 2] < views[-1] / 8
        last = views[-1] if views else 1
        if self._log:
            self._scale = Scale(views[0], last, LEFT + AT_ZERO, right, log=True)
        else:
            self._scale = Scale(0, last, LEFT, right)

    def __call__(self, views: int) -> float:
        return self._scale(views) if views or not self._log else LEFT

    def axis(self) -> list[Markup]:
        """Ticks with their values: round ones, powers of ten on a logarithmic axis, and 0 before these."""
        if not self._log:
            return axis_x(self._scale, BOTTOM, self._scale.ticks(), TOP)
        first = math.ceil(math.log10(self._scale.low))
        last = math.floor(math.log10(self._scale.high))
        powers = [10.0**power for power in range(first, last + 1)]
        start = line(LEFT, BOTTOM, LEFT + AT_ZERO, BOTTOM, "axis")
        zero = text(LEFT, BOTTOM + SIZE + 4, "0", "tick", "middle")
        return [start, zero, *axis_x(self._scale, BOTTOM, powers, TOP)]

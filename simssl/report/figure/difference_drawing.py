"""The drawing of differences over a setting: a line for each group about zero, with standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from simssl.errors import UserError
from simssl.report.compare.estimate import Estimate
from simssl.report.numbers import signed
from simssl.report.page.figures import Look
from simssl.report.page.plots import BOTTOM, HEIGHT, LEFT, TOP, apart
from simssl.report.page.steps.drawing import BESIDE, names_beside
from simssl.report.page.svg import SIZE, Position, Scale, axis_x, axis_y, line, mark, path, text, width_of
from simssl.report.words import short

APART = 4
"""Pixels between the points that lines have at one value."""

EDGE = 18
"""Room at each end of the axis."""

Value = float | str


@dataclass(frozen=True)
class DifferenceLine:
    label: str
    look: Look
    points: Sequence[tuple[Value, Estimate]]


@dataclass(frozen=True)
class DifferencePlot:
    title: str
    over: str
    """The setting in words."""
    lines: Sequence[DifferenceLine]
    unit: str


def drawn_differences(plot: DifferencePlot, width: float) -> list[Markup]:
    """The elements of a plot of this width. Numbers of a line are joined, categories are not."""
    labels = [of.label for of in plot.lines]
    beside = BESIDE + max(map(width_of, labels)) if any(labels) else 0
    right = width - 12 - beside
    x = ValuesScale([value for of in plot.lines for value, _ in of.points], LEFT, right)
    ends = [end for of in plot.lines for _, value in of.points for end in value.ends]
    y = Scale.of([0.0, *ends], BOTTOM, TOP)
    drawn: list[Markup] = []
    ends_of_lines: list[Position] = []
    for number, of in enumerate(plot.lines):
        shift = APART * (number - (len(plot.lines) - 1) / 2)
        positions = [(x(value) + shift, y(estimate.mean)) for value, estimate in of.points]
        joined = [at for at, (value, _) in zip(positions, of.points, strict=True) if not isinstance(value, str)]
        if len(joined) > 1:
            drawn.append(path(joined, f"curve {of.look.colour}"))
        for (at_x, at_y), (value, estimate) in zip(positions, of.points, strict=True):
            low, high = map(y, estimate.ends)
            title = f"{of.label} {value}: {signed(estimate, plot.unit, estimate.n)}".strip()
            drawn += [line(at_x, low, at_x, high, f"error {of.look.colour}"), mark(of.look, at_x, at_y, title)]
        ends_of_lines.append(positions[-1])
    classes = [f"name {of.look.colour}" for of in plot.lines]
    return [
        *axis_y(y, LEFT, right),
        *x.axis(),
        line(LEFT, y(0), right, y(0), "axis"),
        *drawn,
        *(names_beside(labels, classes, ends_of_lines, right + BESIDE) if any(labels) else []),
        text(2, SIZE + 2, plot.title, "title"),
        text(right, HEIGHT - 4, f"{plot.over} \N{RIGHTWARDS ARROW}", "title", "end"),
    ]


class ValuesScale:
    """A map from values of a setting to positions: numbers on an axis, logarithmic if they differ eightfold, and then
    categories, each in a place of its own."""

    def __init__(self, values: Sequence[Value], left: float, right: float) -> None:
        self._numbers = sorted({value for value in values if not isinstance(value, str)})
        self._categories = sorted({value for value in values if isinstance(value, str)})
        self._left, self._right = left, right
        self._place = self._width_of_a_category(right - left)
        end = right - self._place * len(self._categories)
        if self._numbers:
            least, most = self._numbers[0], self._numbers[-1]
            log = least > 0 and most >= 8 * least
            room = 0.5 if least == most else 0.0  # a single number stands in the middle
            self._scale = Scale(least - room, most + room, left + EDGE, end - EDGE, log)

    def _width_of_a_category(self, width: float) -> float:
        """As wide as its name, if all have half of the axis for that; the whole axis if there are no numbers."""
        categories = len(self._categories)
        if not categories:
            return 0.0
        if not self._numbers:
            return width / categories
        return min(max(map(width_of, self._categories)) + EDGE, width / 2 / categories)

    def __call__(self, value: Value) -> float:
        if isinstance(value, str):
            after = len(self._categories) - self._categories.index(value)
            return self._right - self._place * (after - 0.5)
        return self._scale(value)

    def axis(self) -> list[Markup]:
        """The values under the axis; of numbers those that do not run into one another."""
        drawn = []
        rest = self._left
        if self._numbers:
            drawn += [line(self._left, BOTTOM, self._scale.start, BOTTOM, "axis")]
            drawn += axis_x(self._scale, BOTTOM, apart(self._numbers, self._scale), TOP)
            rest = self._scale.end
        drawn.append(line(rest, BOTTOM, self._right, BOTTOM, "axis"))
        for category, name in zip(self._categories, self._names(), strict=True):
            at = self(category)
            drawn.append(line(at, BOTTOM, at, TOP, "grid"))
            drawn.append(text(at, BOTTOM + SIZE + 4, name, "tick", "middle"))
        return drawn

    def _names(self) -> list[str]:
        """The categories, as short as their places; UserError if two of them are the same then."""
        letters = max(4, int(self._place / width_of("x")))
        names = [short(category, letters) for category in self._categories]
        if len(set(names)) < len(names):
            listed = ", ".join(self._categories)
            raise UserError(f"there is no room to tell {listed} apart; make 'columns' fewer")
        return names

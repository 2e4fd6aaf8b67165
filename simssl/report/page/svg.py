"""The parts of every plot: scales with round ticks, axes, lines, marks and text, in the units of the plot's box."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from simssl.report.page.figures import Look

Position = tuple[float, float]
"""x and y, which grows downwards."""

SIZE = 12.5
"""Height of the letters in a plot."""

LINE = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"></line>')
TEXT = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
PATH = Markup('<path d="M{}" class="{}"></path>')
RECT = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:g}" class="{}"><title>{}</title></rect>')
CIRCLE = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:g}" class="{}"><title>{}</title></circle>')
POLYGON = Markup('<polygon points="{}" class="{}"><title>{}</title></polygon>')
SVG = Markup('<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>')
"""Elements; what fills them is escaped."""

RADIUS = 5
"""Half the size of a mark."""

CORNERS: dict[str, Sequence[Position]] = {
    "square": (
        (-0.85, -0.85),
        (0.85, -0.85),
        (0.85, 0.85),
        (-0.85, 0.85),
    ),
    "diamond": (
        (0, -1.2),
        (1.2, 0),
        (0, 1.2),
        (-1.2, 0),
    ),
    "triangle": (
        (0, -1.2),
        (1.1, 0.8),
        (-1.1, 0.8),
    ),
}
"""Offsets from the middle of a mark, in radii."""


def width_of(text: str) -> float:
    """The approximate width of a bold text."""
    letter = 0.62 * SIZE
    return letter * len(text)


@dataclass(frozen=True)
class Scale:
    """A map from values to positions, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def of(cls, values: Iterable[float], start: float, end: float, log: bool = False) -> Scale:
        """Return a scale that shows all of these, with some room around them."""
        known = list(map(math.log, values)) if log else list(values)
        low = min(known)
        high = max(known)
        span = high - low
        room = 0.08 * span or 0.1 * abs(high) or 1.0
        low -= room
        high += room
        if log:
            low = math.exp(low)
            high = math.exp(high)
        return cls(low, high, start, end, log)

    def __call__(self, value: float) -> float:
        low = self.low
        high = self.high
        if self.log:
            value = math.log(value)
            low = math.log(low)
            high = math.log(high)
        share = (value - low) / (high - low)
        length = self.end - self.start
        return self.start + share * length

    def ticks(self, most: int = 5) -> list[float]:
        """Round values, at most this many."""
        span = self.high - self.low
        least = span / most
        power = 10.0 ** math.floor(math.log10(least))
        for factor in (1, 2, 5, 10):
            step = factor * power
            if step >= least * 0.999:
                break
        first = math.ceil(self.low / step)
        last = math.floor(self.high / step)
        return [round(i * step, 12) for i in range(first, last + 1)]

    def powers(self) -> list[float]:
        """The powers of ten of a logarithmic scale; with twice and five times these if they are fewer than three."""
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [factor * 10.0**exponent for exponent in exponents for factor in (1, 2, 5)]
        within = [value for value in values if self.low <= value <= self.high]
        powers = [value for value in within if math.log10(value).is_integer()]
        return powers if len(powers) > 2 else within


def shown(value: float) -> str:
    """The text of a tick's value."""
    text = f"{value:.4g}"
    if abs(value) >= 1000:
        text = f"{value:,.0f}"
    return text.replace("-", "\N{MINUS SIGN}")


def briefly(value: float) -> str:
    """The text of a tick's value where there is little room: 100k, 1M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.4g}{letter}"
    return shown(value)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return LINE.format(x1, y1, x2, y2, class_)


def text(x: float, y: float, content: str, class_: str, anchor: str = "start") -> Markup:
    return TEXT.format(x, y, anchor, class_, content)


def path(points: Iterable[Position], class_: str) -> Markup:
    corners = [f"{x:.1f} {y:.1f}" for x, y in points]
    line_to = " L"
    drawn = line_to.join(corners)
    return PATH.format(drawn, class_)


def bar(x: float, y: float, width: float, height: float, look: Look, title: str) -> Markup:
    class_ = f"bar {look.colour}"
    return RECT.format(x, y, width, height, class_, title)


def mark(look: Look, x: float, y: float, title: str) -> Markup:
    """A method's shape, with a title where the pointer rests."""
    class_ = f"mark {look.colour}"
    if look.shape == "circle":
        return CIRCLE.format(x, y, RADIUS, class_, title)
    corners = []
    for dx, dy in CORNERS[look.shape]:
        corner_x = x + RADIUS * dx
        corner_y = y + RADIUS * dy
        corners.append(f"{corner_x:.1f},{corner_y:.1f}")
    return POLYGON.format(" ".join(corners), class_, title)


def plot(width: float, height: float, description: str, elements: Iterable[Markup]) -> Markup:
    """A picture that grows and shrinks with the page; the description is read aloud in its stead."""
    inside = Markup().join(elements)
    return SVG.format(width, height, description, inside)


def axis_x(
    scale: Scale, bottom: float, ticks: Iterable[float], top: float, told: Callable[[float], str] = shown
) -> list[Markup]:
    """Ticks with their values below the bottom line, and faint lines upwards."""
    below = bottom + SIZE + 4
    drawn = [line(scale.start, bottom, scale.end, bottom, "axis")]
    for tick in ticks:
        x = scale(tick)
        drawn += [
            line(x, bottom, x, top, "grid"),
            text(x, below, told(tick), "tick", "middle"),
        ]
    return drawn


def axis_y(scale: Scale, left: float, right: float, most: int = 5) -> list[Markup]:
    """Ticks with their values left of the plot, and faint lines across."""
    before = left - 5
    drawn = []
    for tick in scale.ticks(most):
        y = scale(tick)
        drawn += [
            line(left, y, right, y, "grid"),
            text(before, y + 4, shown(tick), "tick", "end"),
        ]
    return drawn

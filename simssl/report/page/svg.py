"""What every plot is made of: scales with round ticks, axes, lines and text, in the units of the plot's box."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from simssl.report.page.elements import Html, joined, tag

SIZE = 12.5
"""Of the letters in a plot."""


def width_of(text: str) -> float:
    """About how wide a bold text is."""
    return 0.62 * SIZE * len(text)


@dataclass(frozen=True)
class Scale:
    """From values to places; logarithmic if it is told so."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def of(cls, values: Iterable[float], start: float, end: float, log: bool = False) -> Scale:
        """One that shows all of these, with some room around them."""
        known = [math.log(value) if log else value for value in values]
        low, high = min(known), max(known)
        room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
        low, high = low - room, high + room
        return cls(math.exp(low), math.exp(high), start, end, log) if log else cls(low, high, start, end)

    def __call__(self, value: float) -> float:
        of: Callable[[float], float] = math.log if self.log else float
        share = (of(value) - of(self.low)) / (of(self.high) - of(self.low))
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values, at most this many."""
        raw = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [round(i * step, 12) for i in range(first, last + 1)]


def shown(value: float) -> str:
    """A tick's value."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text.replace("-", "\N{MINUS SIGN}")


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Html:
    return tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=class_)


def text(x: float, y: float, content: str, anchor: str = "start", class_: str | None = None) -> Html:
    return tag("text", content, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str) -> Html:
    steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return tag("path", d=f"M{steps}", class_=class_)


def plot(width: float, height: float, description: str, *children: str) -> Html:
    """A picture that grows and shrinks with its place; the description is read aloud in its stead."""
    return tag("svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=description)


def axis_x(scale: Scale, bottom: float, ticks: Sequence[float], top: float | None = None) -> Html:
    """Ticks with their values below the bottom line; faint lines upwards if `top` is given."""
    drawn = [line(scale.start, bottom, scale.end, bottom, "axis")]
    for tick in ticks:
        place = scale(tick)
        if top is not None:
            drawn.append(line(place, bottom, place, top, "grid"))
        drawn.append(text(place, bottom + SIZE + 4, shown(tick), "middle", "tick"))
    return joined(drawn)


def axis_y(scale: Scale, left: float, right: float, most: int = 5) -> Html:
    """Ticks with their values left of the plot, and faint lines across."""
    drawn = []
    for tick in scale.ticks(most):
        place = scale(tick)
        drawn += [line(left, place, right, place, "grid"), text(left - 5, place + 4, shown(tick), "end", "tick")]
    return joined(drawn)

"""The content of the plots, before they are drawn: the methods' looks, points, bars and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simssl.report.columns import Column
from simssl.report.compare.estimate import Estimate
from simssl.report.table import Row
from simssl.report.words import DIRECTIONS

COLOURS = 10
"""Classes c0 to c9 of the style sheet."""

SHAPES = {"generative": "circle", "discriminative": "square", "untrained": "diamond", None: "triangle"}
SIGNS = {"generative": "●", "discriminative": "■", "untrained": "◆", None: "▲"}


@dataclass(frozen=True)
class Look:
    """The colour and the shape of a method in every plot of its experiment; the shape tells the family."""

    colour: str
    shape: str


Looks = Mapping[str, Look]
"""The look of each method, by its row's label."""


def looks_of(rows: Sequence[Row]) -> Looks:
    looks = {}
    for i, row in enumerate(rows):
        colour = f"c{i % COLOURS}"
        shape = SHAPES[row.family]
        looks[row.label] = Look(colour, shape)
    return looks


def key_to_shapes(rows: Sequence[Row]) -> str:
    """The shape of each family that has measured something."""
    shown = {row.family for row in rows if row.runs}
    told = []
    for family, sign in SIGNS.items():
        if family in shown:
            told.append(f"{sign} {family or 'family not recorded'}")
    return ", ".join(told)


@dataclass(frozen=True)
class Point:
    x: Estimate
    y: Estimate
    label: str
    look: Look
    title: str
    """Shown where the pointer rests."""


@dataclass(frozen=True)
class PointPlot:
    """Points between two axes."""

    points: Sequence[Point]
    x_title: str
    y_title: str
    description: str
    """Read aloud in the plot's stead."""
    caption: str


@dataclass(frozen=True)
class BarPlot:
    """A bar for each name."""

    bars: Mapping[str, Estimate]
    scale_over: Sequence[Estimate]
    """All values that the scale has room for."""
    looks: Looks
    """The look of each bar, by its name."""
    description: str
    caption: str


Curve = Sequence[tuple[float, float]]
"""Steps and values."""


@dataclass(frozen=True)
class CurvePlot:
    """One term of the training, with a curve for each run."""

    name: str
    curves: Sequence[Curve]
    look: Look
    description: str


@dataclass(frozen=True)
class MeasuredPoint:
    """What a method's runs have measured once so many views were shown."""

    views: int
    value: Estimate


@dataclass(frozen=True)
class MethodCurve:
    """What a method has measured while it trained."""

    label: str
    look: Look
    points: Sequence[MeasuredPoint]
    title: str
    """Shown where the pointer rests at its end."""


@dataclass(frozen=True)
class Level:
    """A value that is reached or not, such as a published one: a broken line across a plot."""

    label: str
    value: float
    look: Look


@dataclass(frozen=True)
class OverTimePlot:
    """One metric over the training, with a curve for each method."""

    name: str
    curves: Sequence[MethodCurve]
    description: str
    caption: str


def axis_title(column: Column) -> str:
    """The metric's key, which says so where lower is better."""
    if column.better == "lower":
        return f"{column.key}, {DIRECTIONS['lower']}"
    return column.key

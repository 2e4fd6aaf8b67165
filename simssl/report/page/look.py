"""How a method looks in every plot of its experiment: a colour, and a shape by its family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simssl.report.page.elements import Html, tag
from simssl.report.table import Row

COLOURS = 10
"""Classes c0 to c9 of the style sheet."""

SHAPES = {"generative": "circle", "discriminative": "square", "untrained": "diamond", None: "triangle"}
SIGNS = {"generative": "●", "discriminative": "■", "untrained": "◆", None: "▲"}


@dataclass(frozen=True)
class Look:
    colour: str
    shape: str


Looks = Mapping[str, Look]
"""By the row's label."""


def looks(rows: Sequence[Row]) -> Looks:
    return {row.label: Look(f"c{i % COLOURS}", SHAPES[row.family]) for i, row in enumerate(rows)}


def key_to_shapes(rows: Sequence[Row]) -> str:
    """Which shape is which family, of those that are measured."""
    families = [family for family in SIGNS if any(row.runs and row.family == family for row in rows)]
    return ", ".join(f"{SIGNS[family]} {family or 'family not recorded'}" for family in families)


def marker(look: Look, x: float, y: float, title: str, r: float = 5) -> Html:
    """The shape, as SVG, with what is told where the pointer rests."""
    if look.shape == "circle":
        return tag("circle", tag("title", title), cx=f"{x:.1f}", cy=f"{y:.1f}", r=r, class_=f"mark {look.colour}")
    corners = {
        "square": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
        "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
        "triangle": ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    }[look.shape]
    points = " ".join(f"{x + r * dx:.1f},{y + r * dy:.1f}" for dx, dy in corners)
    return tag("polygon", tag("title", title), points=points, class_=f"mark {look.colour}")

"""The layout of points' names in a plot: they cover neither each other nor the points."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from simssl.report.page.svg import SIZE, Position, width_of

DIRECTIONS = (
    (1, 0),
    (-1, 0),
    (0, -1),
    (0, 1),
    (1, -1),
    (1, 1),
    (-1, -1),
    (-1, 1),
)
"""The sides of a point where its name may go, the best first; y grows downwards."""

DISTANCES = (9, 20, 34, 50)
"""The distances of a name from its point, the nearest first."""

REACH = 6
"""Half the size of what a point covers."""


@dataclass(frozen=True)
class Rectangle:
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Rectangle) -> float:
        """The area that both cover."""
        left = max(self.left, other.left)
        right = min(self.right, other.right)
        top = max(self.top, other.top)
        bottom = min(self.bottom, other.bottom)
        width = max(0.0, right - left)
        height = max(0.0, bottom - top)
        return width * height

    def outside(self, frame: Rectangle) -> float:
        """The area of it that lies outside the frame."""
        width = self.right - self.left
        height = self.bottom - self.top
        area = width * height
        return area - self.overlap(frame)

    def nearest(self, x: float, y: float) -> Position:
        """The position in it that is nearest to this one."""
        within_x = min(max(x, self.left), self.right)
        within_y = min(max(y, self.top), self.bottom)
        return within_x, within_y

    @property
    def baseline(self) -> float:
        return self.bottom - 0.25 * SIZE


def lay_out(
    points: Sequence[Position], texts: Sequence[str], frame: Rectangle, drawn: Sequence[Rectangle]
) -> list[Rectangle]:
    """A rectangle for each point's text: the nearest one that covers nothing (neither points nor what is drawn
    besides), or the one that covers least."""
    taken = []
    for x, y in points:
        covered = Rectangle(x - REACH, y - REACH, x + REACH, y + REACH)
        taken.append(covered)
    taken += drawn
    chosen = []
    for (x, y), text in zip(points, texts, strict=True):
        width = width_of(text)
        candidates = []
        costs = []
        for distance, (dx, dy) in itertools.product(DISTANCES, DIRECTIONS):
            candidate = _beside(x, y, width, dx, dy, distance)
            overlap = sum(map(candidate.overlap, taken))
            outside = candidate.outside(frame)
            candidates.append(candidate)
            costs.append(overlap + 4 * outside)
        cheapest = costs.index(min(costs))
        best = candidates[cheapest]
        taken.append(best)
        chosen.append(best)
    return chosen


def _beside(x: float, y: float, width: float, dx: int, dy: int, distance: float) -> Rectangle:
    """A rectangle in this direction from a point; what lies above or below it keeps half a letter more away."""
    if dx > 0:
        left = x + distance
    elif dx < 0:
        left = x - distance - width
    else:
        left = x - width / 2
        distance += SIZE / 2
    middle = y + dy * distance
    half = SIZE * 0.6
    right = left + width
    return Rectangle(left, middle - half, right, middle + half)

"""The layout of points' names in a plot: they cover neither each other nor the points."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from simssl.report.page.svg import SIZE, width_of

DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))
DISTANCES = (9, 20, 34, 50)


@dataclass(frozen=True)
class Rectangle:
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Rectangle) -> float:
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)

    def outside(self, frame: Rectangle) -> float:
        """The area of it that lies outside the frame."""
        area = (self.right - self.left) * (self.bottom - self.top)
        return area - self.overlap(frame)

    @property
    def baseline(self) -> float:
        return self.bottom - 0.25 * SIZE


def lay_out(
    points: Sequence[tuple[float, float]], texts: Sequence[str], frame: Rectangle, drawn: Sequence[Rectangle]
) -> list[Rectangle]:
    """A rectangle for each point's text: the nearest one that covers nothing (neither points nor what is drawn
    besides), or the one that covers least."""
    taken = [Rectangle(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    taken += drawn
    chosen = []
    for (x, y), text in zip(points, texts, strict=True):
        width = width_of(text)
        candidates = []
        covered = []
        for distance, (dx, dy) in itertools.product(DISTANCES, DIRECTIONS):
            candidate = _beside(x, y, width, dx, dy, distance)
            candidates.append(candidate)
            covered.append(sum(map(candidate.overlap, taken)) + 4 * candidate.outside(frame))
        best = candidates[covered.index(min(covered))]
        taken.append(best)
        chosen.append(best)
    return chosen


def _beside(x: float, y: float, width: float, dx: int, dy: int, distance: float) -> Rectangle:
    left = {1: x + distance, -1: x - distance - width, 0: x - width / 2}[dx]
    middle = y + dy * (distance + SIZE / 2 if dx == 0 else distance)
    return Rectangle(left, middle - SIZE * 0.6, left + width, middle + SIZE * 0.6)

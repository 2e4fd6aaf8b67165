"""The best of each column: among the generative methods, and among the discriminative ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simssl.report.columns import Column
from simssl.report.estimate import difference
from simssl.report.table import Measured, Row

COMPARED = ("discriminative", "generative")
"""The families whose best is sought; what is not trained competes with nobody."""


def mark_best(rows: Sequence[Row]) -> list[Row]:
    """The rows with their `best`: within a family, and at the same data, views, networks and budget. What lies within
    a standard error (of the difference) of the best is best, too. A method without a rival is not marked."""
    rivals: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.family in COMPARED:
            rivals.setdefault((row.family, row.circumstances), []).append(row)
    best: dict[int, set[Column]] = {id(row): set() for row in rows}
    for group in rivals.values():
        for column in dict.fromkeys(column for row in group for column in row.measured):
            for row in _best(group, column):
                best[id(row)].add(column)
    return [replace(row, best=frozenset(best[id(row)])) for row in rows]


def _best(rows: Sequence[Row], column: Column) -> list[Row]:
    found = [(row, row.measured[column]) for row in rows if column in row.measured]
    if len(found) < 2 or column.better is None:
        return []
    sign = 1 if column.better == "higher" else -1
    top = max((cell for _, cell in found), key=lambda cell: sign * cell.ours.mean)
    return [row for row, cell in found if _level(cell, top, sign)]


def _level(cell: Measured, top: Measured, sign: int) -> bool:
    """Whether the cell is within a standard error of the top: that of the differences seed by seed, or of two
    independent means if they do not share several seeds. Without a standard error only what is equal is level."""
    gap = difference(cell.by_seed, top.by_seed)
    if gap is None or gap.stderr is None:
        gap = cell.ours.minus(top.ours)
    return sign * gap.mean >= -(gap.stderr or 0.0)

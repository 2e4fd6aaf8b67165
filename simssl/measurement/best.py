"""The best of each column: among the generative methods, and among the discriminative ones."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

from simssl.measurement.estimate import Estimate
from simssl.measurement.table import Column, Row

COMPARED = ("discriminative", "generative")
"""The families whose best is sought; what is not trained competes with nobody."""


def mark_best(rows: Sequence[Row]) -> list[Row]:
    """The rows with their `best`: within a family, and at the same data, views, networks and budget. What lies within
    a standard error (of the difference) of the best is best, too. A method without a rival is not marked."""
    rivals: dict[str, list[Row]] = {}
    for row in rows:
        if row.family in COMPARED:
            rivals.setdefault(json.dumps([row.family, row.circumstances]), []).append(row)
    best: dict[int, set[Column]] = {id(row): set() for row in rows}
    for group in rivals.values():
        for column in dict.fromkeys(column for row in group for column in row.cells):
            for row in _best(group, column):
                best[id(row)].add(column)
    return [replace(row, best=frozenset(best[id(row)])) for row in rows]


def _best(rows: Sequence[Row], column: Column) -> list[Row]:
    found = [(row, row.cells[column].ours) for row in rows if column in row.cells]
    if len(found) < 2 or column.better is None:
        return []
    sign = 1 if column.better == "higher" else -1
    top = max((ours for _, ours in found), key=lambda ours: sign * ours.mean)
    return [row for row, ours in found if abs(ours.mean - top.mean) <= _error(ours, top)]


def _error(a: Estimate, b: Estimate) -> float:
    """The standard error of the difference of two independent means; 0 where one of them has none."""
    return math.hypot(a.stderr, b.stderr) if a.stderr is not None and b.stderr is not None else 0.0

"""The best of each column: among the generative methods, and among the discriminative ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from simssl.report.columns import Column
from simssl.report.compare.estimate import difference
from simssl.report.table import Measured, Row

COMPARED = ("discriminative", "generative")
"""The families whose best is sought; what is not trained competes with nobody."""


def mark_best(rows: Sequence[Row]) -> list[Row]:
    """The rows with their `best`: within a family, and at the same data, views, networks and budget.

    What lies within a standard error (of the difference) of the best is best, too. A method without a rival is not
    marked, and none of several settings of one method: the best of them would be one that was chosen on test.
    """
    rivals: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.family in COMPARED:
            competition = (row.family, row.circumstances)
            rivals.setdefault(competition, []).append(row)

    best: dict[int, set[Column]] = {}
    for group in rivals.values():
        columns: set[Column] = set()
        for row in group:
            columns.update(row.measured)
        of_several = several_settings(group)
        for column in columns:
            for row in _best(group, column):
                if row.objective not in of_several:
                    best.setdefault(id(row), set()).add(column)

    marked = []
    for row in rows:
        columns = best.get(id(row), set())
        with_best = replace(row, best=frozenset(columns))
        marked.append(with_best)
    return marked


def several_settings(rows: Sequence[Row]) -> list[str]:
    """The methods that several of these rows are settings of, in the rows' order. The rows are rivals."""
    settings = Counter(row.objective for row in rows)
    return [objective for objective, count in settings.items() if count > 1]


def _best(rows: Sequence[Row], column: Column) -> list[Row]:
    """The best of these rows in a column, if there are several and one direction is better."""
    rivals = [row for row in rows if column in row.measured]
    if len(rivals) < 2:
        return []
    if column.better is None:
        return []
    sign = 1 if column.better == "higher" else -1

    def score(row: Row) -> float:
        measured = row.measured[column]
        return sign * measured.ours.mean

    top = max(rivals, key=score)
    best = []
    for row in rivals:
        measured = row.measured[column]
        if _level(measured, top.measured[column], sign):
            best.append(row)
    return best


def _level(measured: Measured, top: Measured, sign: int) -> bool:
    """Return whether a number is within a standard error of the top.

    The error is that of the differences seed by seed, or of two independent means if they do not share several seeds.
    Without a standard error only what is equal is level.
    """
    gap = difference(measured.by_seed, top.by_seed)
    if gap is None or gap.stderr is None:
        gap = measured.ours.minus(top.ours)
    behind = -sign * gap.mean
    return behind <= (gap.stderr or 0.0)

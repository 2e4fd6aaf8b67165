"""The differences of methods from one of them, at the same data, views, networks and budget."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from simssl.errors import UserError
from simssl.report.compare.estimate import difference
from simssl.report.table import Row


def take_differences(rows: Sequence[Row], method: str) -> tuple[list[Row], list[str]]:
    """Return the rows with their differences from a method, and a sentence for each row that has none.

    The method is named by its row's label, or by its objective. UserError if no row is called so.
    """
    names: set[str] = set()
    for row in rows:
        names |= row.names
    if method not in names:
        raise UserError(_unknown(method, rows))

    compared: list[Row] = []
    notes: list[str] = []
    for row in rows:
        bases = _bases(rows, row, method)
        ours = row
        why_not = ""
        if not bases:
            why_not = f"no row of {method} shares its data, views and budget"
        elif len(bases) > 1:
            why_not = f"several rows of {method} share its data, views and budget"
        elif row is not bases[0]:
            ours = _minus(row, bases[0])
            why_not = _why_no_difference(ours, bases[0])
        compared.append(ours)
        if why_not:
            notes.append(f"{row.label}: no difference, since {why_not}")
    return compared, notes


def _unknown(method: str, rows: Sequence[Row]) -> str:
    """The sentence about a name that no row has: the names that there are."""
    known: dict[str, None] = {}
    for row in rows:
        known[row.objective] = None
    for row in rows:
        known[row.label] = None
    near = difflib.get_close_matches(method, known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"no row is called '{method}'{hint}; --relative-to takes one of: {', '.join(known)}"


def _why_no_difference(row: Row, base: Row) -> str:
    """Return why a row has no difference from its base; nothing if it has one, or no number at all."""
    if not row.measured:
        return ""
    for measured in row.measured.values():
        if measured.difference:
            return ""
    if not base.runs:
        return f"{base.label} is not measured"
    return f"{base.label} shares no seed and metric with it"


def base_of(rows: Sequence[Row], row: Row, method: str) -> Row | None:
    """The row from which this one's differences are taken, if it is one."""
    bases = _bases(rows, row, method)
    if len(bases) != 1:
        return None
    return bases[0]


def _bases(rows: Sequence[Row], row: Row, method: str) -> list[Row]:
    """The rows of that label, or objective, that a row can be compared with."""
    circumstances = row.circumstances
    bases = []
    for base in rows:
        if method not in base.names:
            continue
        if base.circumstances == circumstances:
            bases.append(base)
    return bases


def _minus(row: Row, base: Row) -> Row:
    """Return the row with its differences from another, seed by seed."""
    compared = {}
    for column, ours in row.measured.items():
        theirs = base.measured.get(column)
        gap = None
        if theirs:
            gap = difference(ours.by_seed, theirs.by_seed)
        compared[column] = replace(ours, difference=gap)
    return replace(row, measured=compared)

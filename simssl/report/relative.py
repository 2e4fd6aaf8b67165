"""The differences of methods from one of them, at the same data, views, networks and budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simssl.errors import UserError
from simssl.report.estimate import difference
from simssl.report.table import Row


def take_differences(rows: Sequence[Row], method: str) -> tuple[list[Row], list[str]]:
    """Return the rows with their differences from the one of that label, or objective, and a sentence for each row
    that has none. UserError if no row is called so."""
    if not any(method in row.names for row in rows):
        labels = dict.fromkeys(row.label for row in rows)
        raise UserError(f"no row is called '{method}'; there are: {', '.join(labels)}")

    compared: list[Row] = []
    notes: list[str] = []
    for row in rows:
        bases = _bases(rows, row, method)
        if len(bases) != 1:
            share = f"several rows of {method} share" if bases else f"no row of {method} shares"
            notes.append(f"{row.label}: no difference, since {share} its data, views and budget")
            compared.append(row)
            continue
        base = bases[0]
        if row is base:
            compared.append(row)
            continue
        ours = _minus(row, base)
        compared.append(ours)
        if ours.measured and not any(measured.difference for measured in ours.measured.values()):
            why = "shares no seed and metric with it" if base.runs else "is not measured"
            notes.append(f"{row.label}: no difference, since {base.label} {why}")
    return compared, notes


def base_of(rows: Sequence[Row], row: Row, method: str) -> Row | None:
    """The row from which this one's differences are taken, if it is one."""
    bases = _bases(rows, row, method)
    return bases[0] if len(bases) == 1 else None


def _bases(rows: Sequence[Row], row: Row, method: str) -> list[Row]:
    return [base for base in rows if method in base.names and base.circumstances == row.circumstances]


def _minus(row: Row, base: Row) -> Row:
    """Return the row with its differences from another, seed by seed."""
    compared = {}
    for column, ours in row.measured.items():
        theirs = base.measured.get(column)
        gap = difference(ours.by_seed, theirs.by_seed) if theirs else None
        compared[column] = replace(ours, difference=gap)
    return replace(row, measured=compared)

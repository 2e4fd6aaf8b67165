"""The differences of methods from one of them, at the same data, views, networks and budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simssl.errors import UserError
from simssl.report.estimate import difference
from simssl.report.table import Row


def related(rows: Sequence[Row], method: str) -> tuple[list[Row], list[str]]:
    """The rows with their differences from the one of that label, or objective, and a sentence for each row that has
    none. UserError if no row is called so."""
    if not any(method in row.names for row in rows):
        raise UserError(f"no row is called '{method}'; there are: {', '.join(dict.fromkeys(r.label for r in rows))}")
    found, notes = [], []
    for row in rows:
        bases = _bases(rows, row, method)
        if len(bases) != 1:
            share = "several rows of {} share" if bases else "no row of {} shares"
            notes.append(f"{row.label}: no difference, since {share.format(method)} its data, views and budget")
        elif row is not bases[0]:
            row = minus(row, bases[0])
            if row.measured and not any(cell.difference for cell in row.measured.values()):
                why = "shares no seed and metric with it" if bases[0].runs else "is not measured"
                notes.append(f"{row.label}: no difference, since {bases[0].label} {why}")
        found.append(row)
    return found, notes


def base_of(rows: Sequence[Row], row: Row, method: str) -> Row | None:
    """The row from which this one's differences are taken, if it is one."""
    bases = _bases(rows, row, method)
    return bases[0] if len(bases) == 1 else None


def _bases(rows: Sequence[Row], row: Row, method: str) -> list[Row]:
    return [base for base in rows if method in base.names and base.circumstances == row.circumstances]


def minus(row: Row, base: Row) -> Row:
    """The row with its differences from another, seed by seed."""
    both = row.measured.keys() & base.measured.keys()
    found = {column: difference(row.measured[column].by_seed, base.measured[column].by_seed) for column in both}
    return replace(row, measured={c: replace(cell, difference=found.get(c)) for c, cell in row.measured.items()})

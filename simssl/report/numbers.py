"""What stands in a table's cells, as text, and the caption that says so."""

from __future__ import annotations

import math

from simssl.report.columns import Column
from simssl.report.estimate import Estimate
from simssl.report.table import Absent, Measured, Row, Table

ABSENT = "\N{EN DASH}"


def number(value: float, unit: str, stderr: float | None = None) -> str:
    """Three decimals for what lies between 0 and 1 by nature; else two digits of the standard error, or three of
    the value where there is none."""
    return _written(value, _decimals(value, unit, stderr), stderr)


def _decimals(value: float, unit: str, stderr: float | None) -> int:
    if unit in ("fraction", "R2"):
        return 3
    digits, of = (2, stderr) if stderr else (3, value)
    return max(0, digits - 1 - math.floor(math.log10(abs(of) or 1)))


def _written(value: float, decimals: int, stderr: float | None = None, sign: str = "") -> str:
    text = f"{value:{sign}.{decimals}f}".replace("-", "\N{MINUS SIGN}")
    return text if stderr is None else f"{text}±{stderr:.{decimals}f}"


def texts_of(cell: Measured | Absent | None, unit: str, runs: int) -> list[str]:
    """The mean with its standard error, or why there is none; below it the published value with ours minus it, and,
    in brackets, the difference from the row that the table is relative to."""
    if cell is None:
        return [ABSENT]
    lines = [cell.why if isinstance(cell, Absent) else estimate(cell.ours, unit, runs)]
    if cell.published:
        beside = f"{cell.published.source}: {number(cell.published.value, unit, cell.published.stderr)}"
        lines.append(beside if isinstance(cell, Absent) else f"{beside}, {_gap(cell.ours, cell.published.value, unit)}")
    if isinstance(cell, Measured) and cell.difference:
        lines.append(f"({signed(cell.difference, unit, runs)})")
    return lines


def _gap(ours: Estimate, published: float, unit: str) -> str:
    """Ours minus the published value, to the last digit of ours."""
    return _written(ours.mean - published, _decimals(ours.mean, unit, ours.stderr), sign="+")


def estimate(found: Estimate, unit: str, runs: int) -> str:
    """The mean with its standard error, and its number of runs if that is not the row's."""
    text = number(found.mean, unit, found.stderr)
    return text if found.n == runs else f"{text}, n={found.n}"


def signed(found: Estimate, unit: str, runs: int) -> str:
    """A difference, with its sign."""
    return ("+" if found.mean >= 0 else "") + estimate(found, unit, runs)


def at(row: Row, column: Column) -> Measured | Absent | None:
    """What the table knows there; None is "not measured"."""
    return row.measured.get(column) or row.absent.get(column)


def caption(table: Table) -> str:
    """What stands in the cells."""
    counts = {row.runs for row in table.rows if row.runs}
    runs = f"{counts.pop()} runs each" if len(counts) == 1 else "the runs"
    parts = ["one run each" if runs == "1 runs each" else f"mean±standard error over {runs}"]
    shown = [at(row, column) for part in table.parts for row in part.rows for column in part.summary]
    if sources := sorted({cell.published.source for cell in shown if cell and cell.published}):
        parts.append(f"{', '.join(sources)}: what {table.against} gives, and ours minus it")
    if any(isinstance(cell, Measured) and cell.difference for cell in shown):
        parts.append(f"in brackets the difference from {table.relative_to}, seed by seed")
    if any(row.best for row in table.rows):
        alike = " at the same data, views, networks and budget" if len(table.alike) > len(table.parts) else ""
        parts.append(
            f"bold: the best of several generative, or several discriminative, methods{alike}, and what is within a "
            "standard error of it"
        )
    if None in shown:
        parts.append("a dash: not measured")
    return "; ".join(parts)

"""The entries of a table as text, and the caption that explains them."""

from __future__ import annotations

import math

from simssl.report.columns import Column
from simssl.report.compare.estimate import Estimate
from simssl.report.compare.published import Published
from simssl.report.table import Absent, Measured, Row, Table

ABSENT = "\N{EN DASH}"
"""The text of what is not measured."""

UNDERTRAINED = "\N{DAGGER}"
"""The mark of what would be another number if what measures it were trained for longer."""


def number(value: float, unit: str, stderr: float | None = None) -> str:
    """The number as text, with its standard error if it has one.

    It has three decimals if it lies between 0 and 1 by nature. Otherwise two digits of the standard error are shown,
    or three digits of the value where there is none.
    """
    decimals = _decimals(value, unit, stderr)
    return _written(value, decimals, stderr)


def _decimals(value: float, unit: str, stderr: float | None) -> int:
    if unit in ("fraction", "R2", "skill"):
        return 3
    if stderr:
        digits = 2
        size = abs(stderr)
    else:
        digits = 3
        size = abs(value) or 1
    exponent = math.floor(math.log10(size))
    return max(0, digits - 1 - exponent)


def _written(value: float, decimals: int, stderr: float | None = None, sign: str = "") -> str:
    text = f"{value:{sign}.{decimals}f}"
    text = text.replace("-", "\N{MINUS SIGN}")
    if stderr is None:
        return text
    return f"{text}±{stderr:.{decimals}f}"


def texts_of(entry: Measured | Absent | None, unit: str, runs: int) -> list[str]:
    """The lines of an entry: the mean with its standard error, or why there is none.

    Below it the published value with ours minus it, and, in brackets, the difference from the row that the table is
    relative to. `runs` is how many the row has.
    """
    if entry is None:
        return [ABSENT]
    if isinstance(entry, Absent):
        lines = [entry.why]
        if entry.published:
            lines.append(_published(entry.published, unit))
        return lines
    mark = UNDERTRAINED if entry.undertrained else ""
    lines = [estimate(entry.ours, unit, runs) + mark]
    if entry.published:
        published = _published(entry.published, unit)
        gap = _gap(entry.ours, entry.published, unit)
        lines.append(f"{published}, {gap}")
    if entry.difference:
        difference = signed(entry.difference, unit, runs)
        lines.append(f"({difference})")
    return lines


def _published(published: Published, unit: str) -> str:
    text = number(published.value, unit, published.stderr)
    return f"{published.source}: {text}"


def _gap(ours: Estimate, published: Published, unit: str) -> str:
    """Ours minus the published value, to the last digit of ours."""
    gap = ours.mean - published.value
    decimals = _decimals(ours.mean, unit, ours.stderr)
    return _written(gap, decimals, sign="+")


def estimate(value: Estimate, unit: str, runs: int) -> str:
    """The mean with its standard error, and its number of runs if that is not the row's."""
    text = number(value.mean, unit, value.stderr)
    if value.n == runs:
        return text
    return f"{text}, n={value.n}"


def signed(difference: Estimate, unit: str, runs: int) -> str:
    """A difference, with its sign."""
    text = estimate(difference, unit, runs)
    if difference.mean < 0:
        return text
    return f"+{text}"


def at(row: Row, column: Column) -> Measured | Absent | None:
    """The entry of a row and a column; None is "not measured"."""
    if column in row.measured:
        return row.measured[column]
    return row.absent.get(column)


def headings_of(table: Table) -> list[str]:
    """The headings before the numbers; that of the runs only where rows differ in them."""
    if _runs_differ(table):
        return ["method", "runs"]
    return ["method"]


def names_of(table: Table, row: Row) -> list[str]:
    """The texts of a row before its numbers."""
    if _runs_differ(table):
        return [row.label, str(row.runs)]
    return [row.label]


def _runs_differ(table: Table) -> bool:
    runs = {row.runs for row in table.rows}
    return len(runs) > 1


def texts_at(row: Row, column: Column) -> list[str]:
    """The lines of the entry of a row and a column."""
    entry = at(row, column)
    return texts_of(entry, column.unit, row.runs)


def caption(table: Table) -> str:
    """The sentence that says what a table's entries are."""
    entries = _summary_entries(table)
    sources = set()
    any_difference = False
    any_undertrained = False
    for entry in entries:
        if entry and entry.published:
            sources.add(entry.published.source)
        if isinstance(entry, Measured) and entry.difference:
            any_difference = True
        if isinstance(entry, Measured) and entry.undertrained:
            any_undertrained = True

    parts = [_mean_over(table)]
    if sources:
        named = ", ".join(sorted(sources))
        parts.append(f"{named}: what {table.against} gives, and ours minus it")
    if any_difference:
        parts.append(f"in brackets the difference from {table.relative_to}, seed by seed")
    if table.chosen_by:
        parts.append(f"of several settings of a method the one that is best by {table.chosen_by} on held-out images")
    if any(row.best for row in table.rows):
        alike = ""
        if len(table.alike) > len(table.parts):
            alike = " at the same data, views, networks and budget"
        parts.append(
            f"bold: the best of several generative, or several discriminative, methods{alike}, and what is within a "
            "standard error of it"
        )
    if any_undertrained:
        parts.append(f"{UNDERTRAINED}: measured by what had not converged, and would do better if trained for longer")
    if None in entries:
        parts.append("a dash: not measured")
    return "; ".join(parts)


def _summary_entries(table: Table) -> list[Measured | Absent | None]:
    """The entries of the summary columns, in all parts of the table."""
    entries = []
    for part in table.parts:
        columns = part.summary
        for row in part.rows:
            for column in columns:
                entry = at(row, column)
                entries.append(entry)
    return entries


def _mean_over(table: Table) -> str:
    """The number of runs that a mean is over, in words."""
    counts = {row.runs for row in table.rows}
    counts.discard(0)
    if counts == {1}:
        return "one run each"
    if len(counts) == 1:
        return f"mean±standard error over {counts.pop()} runs each"
    return "mean±standard error over the runs"

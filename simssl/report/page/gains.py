"""The gain of each target over a baseline method, where an evaluator measured several (the paper's figure 6)."""

from __future__ import annotations

from collections.abc import Sequence

from simssl.report.columns import Column
from simssl.report.estimate import Estimate, difference
from simssl.report.page.elements import Html, folded, joined, section, tag
from simssl.report.page.look import Looks
from simssl.report.page.plots import bar_chart
from simssl.report.relative import base_of
from simssl.report.table import Row, Table

SEVERAL = 3
"""Targets that an evaluator must have measured by one metric."""

Gains = dict[str, Estimate]
"""By target."""


def gains(table: Table, looks: Looks, level: int) -> Html:
    """A part for each evaluator and metric with several targets, folded but for an evaluator's first metric; in it a
    plot for each method but the baseline, at the same data, views, networks and budget. Nothing without a baseline."""
    method = _baseline(table)
    if method is None:
        return Html()
    groups: dict[tuple[str, str], list[Column]] = {}
    for column in table.columns:
        if column.target and column.better:
            groups.setdefault((column.label, column.metric), []).append(column)
    parts: dict[str, list[Html]] = {}
    for (label, metric), columns in groups.items():
        if len({column.key for column in columns}) >= SEVERAL:
            heading = f"{label}: {metric}"
            found = [_plots(part, looks, method, heading, columns, table.where(part)) for part in table.alike]
            if plots := joined(found):
                further = label in parts
                shown = folded(heading, plots) if further else section(level + 1, heading, plots)
                parts.setdefault(label, []).append(shown)
    return section(level, f"Gain per target, over {method}", *(joined(of_label) for of_label in parts.values()))


def _baseline(table: Table) -> str | None:
    """The method that the report is relative to; else the first untrained one."""
    if any(table.relative_to in row.names for row in table.rows):
        return table.relative_to
    return next((row.objective for row in table.rows if row.runs and row.family == "untrained"), None)


def _plots(table: Table, looks: Looks, method: str, heading: str, columns: Sequence[Column], where: str) -> Html:
    bases = [(row, base) for row in table.rows if (base := base_of(table.rows, row, method)) and base is not row]
    found = [(row, own) for row, base in bases if (own := _gains(row, base, columns))]
    if not found:
        return Html()
    order = _order([own for _, own in found])
    every = [value for _, own in found for value in own.values()]
    better = "to the left is better" if columns[0].better == "lower" else "to the right is better"
    how = (
        f"A bar is the difference from {method}, the mean over the seeds, with its standard error; {better}. "
        f"All plots have one scale and one order{f': {where}' if where else ''}."
    )
    figures = [
        tag(
            "figure",
            tag("figcaption", row.label),
            bar_chart(
                {t: own[t] for t in order if t in own},
                every,
                looks[row.label],
                f"{heading} of {row.label} minus {method}'s",
            ),
        )
        for row, own in found
    ]
    return joined([tag("p", how, class_="how"), tag("div", *figures, class_="plots")])


def _gains(row: Row, base: Row, columns: Sequence[Column]) -> Gains:
    both = [c for c in columns if c in row.measured and c in base.measured]
    found = {_target(c): difference(row.measured[c].by_seed, base.measured[c].by_seed) for c in both}
    return {target: gain for target, gain in found.items() if gain}


def _target(column: Column) -> str:
    role = f" ({column.role})" if column.role == "content" else ""
    return column.target + role + column.note


def _order(found: Sequence[Gains]) -> list[str]:
    """Targets by their mean gain over the methods, the largest first."""
    targets = dict.fromkeys(target for own in found for target in own)

    def mean(target: str) -> float:
        values = [own[target].mean for own in found if target in own]
        return sum(values) / len(values)

    return sorted(targets, key=mean, reverse=True)

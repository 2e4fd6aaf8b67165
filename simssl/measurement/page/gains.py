"""The gain of each target over a baseline method, where an evaluator measured several (the paper's figure 6)."""

from __future__ import annotations

from collections.abc import Sequence

from simssl.measurement.estimate import Estimate, difference
from simssl.measurement.page.elements import Html, folded, joined, section, tag
from simssl.measurement.page.look import Look
from simssl.measurement.page.plots import bar_chart
from simssl.measurement.table import Column, Row, Table

SEVERAL = 3
"""Targets that an evaluator must have measured by one metric."""

Gains = dict[str, Estimate]
"""By target."""


def gains(table: Table, looks: Sequence[Look], level: int) -> Html:
    """A part for each evaluator and metric with several targets, folded but for an evaluator's first metric; in it a
    plot for each method but the baseline. Nothing without a baseline."""
    base = _baseline(table)
    if base is None:
        return Html()
    groups: dict[tuple[str, str], list[Column]] = {}
    for column in table.columns:
        label, *target, metric = column.key.split("/")
        if target and column.better:
            groups.setdefault((label, metric), []).append(column)
    parts: dict[str, list[Html]] = {}
    for (label, metric), columns in groups.items():
        if len({column.key for column in columns}) >= SEVERAL:
            heading = f"{label}: {metric}"
            if plots := _plots(table, looks, base, heading, columns):
                further = label in parts
                part = folded(heading, plots) if further else section(level + 1, heading, plots)
                parts.setdefault(label, []).append(part)
    return section(level, f"Gain per target, over {base.label}", *(joined(of_label) for of_label in parts.values()))


def _baseline(table: Table) -> Row | None:
    """The method that the report is relative to; else the first untrained one."""
    rows = [row for row in table.rows if row.runs]
    chosen = (row for row in rows if table.relative_to in row.names)
    untrained = (row for row in rows if row.family == "untrained")
    return next(chosen, None) or next(untrained, None)


def _plots(table: Table, looks: Sequence[Look], base: Row, heading: str, columns: Sequence[Column]) -> Html:
    found = [
        (row, look, _gains(row, base, columns))
        for row, look in zip(table.rows, looks, strict=True)
        if row is not base and row.circumstances == base.circumstances
    ]
    found = [(row, look, own) for row, look, own in found if own]
    if not found:
        return Html()
    order = _order([own for _, _, own in found])
    every = [value for _, _, own in found for value in own.values()]
    lower = columns[0].better == "lower"
    how = (
        f"A bar is the difference from {base.label}, the mean over the seeds, with its standard error; "
        f"{'to the left is better' if lower else 'to the right is better'}. All plots have one scale and one order."
    )
    figures = [
        tag(
            "figure",
            tag("figcaption", row.label),
            bar_chart(
                {t: own[t] for t in order if t in own}, every, look, f"{heading} of {row.label} minus {base.label}'s"
            ),
        )
        for row, look, own in found
    ]
    return joined([tag("p", how, class_="how"), tag("div", *figures, class_="plots")])


def _gains(row: Row, base: Row, columns: Sequence[Column]) -> Gains:
    both = [c for c in columns if c in row.cells and c in base.cells]
    found = {_target(c): difference(row.cells[c].by_seed, base.cells[c].by_seed) for c in both}
    return {target: gain for target, gain in found.items() if gain}


def _target(column: Column) -> str:
    _, *target, _ = column.key.split("/")
    role = f" ({column.role})" if column.role == "content" else ""
    return "/".join(target) + role + column.note


def _order(found: Sequence[Gains]) -> list[str]:
    """Targets by their mean gain over the methods, the largest first."""
    targets = dict.fromkeys(target for own in found for target in own)

    def mean(target: str) -> float:
        values = [own[target].mean for own in found if target in own]
        return sum(values) / len(values)

    return sorted(targets, key=mean, reverse=True)

"""The gain of each target over a baseline method, where an evaluator measured several (the paper's figure 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simssl.report.columns import Column
from simssl.report.compare.estimate import Estimate, difference
from simssl.report.compare.relative import base_of
from simssl.report.page.figures import BarPlot, Looks
from simssl.report.table import Row, Table

SEVERAL = 3
"""Targets that an evaluator must have measured by one metric."""

Gain = Mapping[str, Estimate]
"""Differences from the baseline, by target."""

Groups = dict[tuple[str, str], list[Column]]
"""Columns by the label of their evaluator and the metric; they differ in their targets."""


@dataclass(frozen=True)
class Comparison:
    """A plot for each method but the baseline, at the same data, views, networks and budget."""

    where: str
    """The data, views, networks or budget that tell it from the other comparisons; empty if it is the only one."""
    better: str
    """The direction in which a bar is better: left or right."""
    plots: Sequence[BarPlot]


@dataclass(frozen=True)
class MetricGains:
    """The gains by one metric of an evaluator."""

    heading: str
    comparisons: Sequence[Comparison]


@dataclass(frozen=True)
class Gains:
    baseline: str
    evaluators: Sequence[Sequence[MetricGains]]
    """The metrics of each evaluator that have plots; all but its first are folded."""


def gains(table: Table, alike: Sequence[tuple[Table, str]], looks: Looks) -> Gains | None:
    """The gains for each evaluator and metric with several targets; None without a baseline.

    `alike` has a table for each data, views, networks and budget, with what tells it from the others.
    """
    baseline = _baseline(table)
    if baseline is None:
        return None
    evaluators: dict[str, list[MetricGains]] = {}
    for (label, metric), columns in _with_several_targets(table).items():
        heading = f"{label}: {metric}"
        comparisons = []
        for part, where in alike:
            comparison = _comparison(part, looks, baseline, heading, columns, where)
            if comparison:
                comparisons.append(comparison)
        if comparisons:
            of_label = evaluators.setdefault(label, [])
            of_label.append(MetricGains(heading, comparisons))
    if not evaluators:
        return None
    return Gains(baseline, list(evaluators.values()))


def _baseline(table: Table) -> str | None:
    """The method that the report is relative to; else the first untrained one."""
    for row in table.rows:
        if table.relative_to in row.names:
            return table.relative_to
    for row in table.rows:
        if row.runs and row.family == "untrained":
            return row.objective
    return None


def _with_several_targets(table: Table) -> Groups:
    """The groups of several targets."""
    groups: Groups = {}
    for column in table.columns:
        if column.target and column.better:
            key = column.label, column.metric
            groups.setdefault(key, []).append(column)
    several: Groups = {}
    for key, columns in groups.items():
        targets = {column.target for column in columns}
        if len(targets) >= SEVERAL:
            several[key] = columns
    return several


def _comparison(
    table: Table, looks: Looks, baseline: str, heading: str, columns: Sequence[Column], where: str
) -> Comparison | None:
    """The methods' plots, with one scale and one order; None if no method has a gain."""
    methods: list[tuple[Row, Gain]] = []
    for row in table.rows:
        base = base_of(table.rows, row, baseline)
        if base and base is not row:
            gain = _gain(row, base, columns)
            if gain:
                methods.append((row, gain))
    if not methods:
        return None
    order = _order([gain for _, gain in methods])
    every: list[Estimate] = []
    for _, gain in methods:
        every += gain.values()
    plots = []
    for row, gain in methods:
        bars = {target: gain[target] for target in order if target in gain}
        plot = BarPlot(
            bars=bars,
            scale_over=every,
            looks=dict.fromkeys(bars, looks[row.label]),
            description=f"{heading} of {row.label} minus {baseline}'s",
            caption=row.label_among(where),
        )
        plots.append(plot)
    better = "left" if columns[0].better == "lower" else "right"
    return Comparison(where, better, plots)


def _gain(row: Row, base: Row, columns: Sequence[Column]) -> Gain:
    gain = {}
    for column in columns:
        if column in row.measured and column in base.measured:
            ours = row.measured[column].by_seed
            theirs = base.measured[column].by_seed
            value = difference(ours, theirs)
            if value:
                gain[_target(column)] = value
    return gain


def _target(column: Column) -> str:
    role = " (content)" if column.role == "content" else ""
    return column.target + role + column.note


def _order(gains: Sequence[Gain]) -> list[str]:
    """Targets by their mean gain over the methods, the largest first."""
    of_target: dict[str, list[float]] = {}
    for gain in gains:
        for target, value in gain.items():
            values = of_target.setdefault(target, [])
            values.append(value.mean)

    def mean(target: str) -> float:
        values = of_target[target]
        return sum(values) / len(values)

    return sorted(of_target, key=mean, reverse=True)

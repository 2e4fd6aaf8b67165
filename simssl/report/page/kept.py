"""What each method keeps of each target: a plot a target, a bar a method, all on one scale.

It is drawn of the metrics whose unit is `skill`: 1 is all of the target, 0 what a constant finds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simssl.report.columns import Column
from simssl.report.compare.estimate import Estimate
from simssl.report.page.figures import BarPlot, Looks
from simssl.report.roles import role_of
from simssl.report.table import Row, Table
from simssl.report.words import all_short

UNIT = "skill"
SEVERAL = 2
"""Targets that an evaluator must have measured by one metric."""

Metrics = Mapping[tuple[str, str], Sequence[Column]]
"""The columns of several targets, by the label of their evaluator and the metric."""


@dataclass(frozen=True)
class TargetPlot:
    """The bars of one target."""

    target: str
    is_content: bool
    plot: BarPlot


@dataclass(frozen=True)
class Alike:
    """The plots of the methods at the same data, views, networks and budget."""

    where: str
    """The data, views, networks or budget that tell them from the others; empty if there are no others."""
    shared: str
    """The targets that the views of an image share, where the run says so; empty if they are of one image."""
    targets: Sequence[TargetPlot]


@dataclass(frozen=True)
class Kept:
    """The plots by one metric of an evaluator."""

    heading: str
    alike: Sequence[Alike]


def kept(alike: Sequence[tuple[Table, str]], looks: Looks) -> list[Kept]:
    """The plots of each evaluator and metric that has several targets.

    `alike` has a table for each data, views, networks and budget, with what tells it from the others.
    """
    plots: dict[str, list[Alike]] = {}
    for table, where in alike:
        for (label, metric), columns in _metrics(table).items():
            of_metric = plots.setdefault(f"{label}: {metric}", [])
            of_metric.append(_alike(table, columns, looks, where))
    return [Kept(heading, of_metric) for heading, of_metric in plots.items()]


def _metrics(table: Table) -> Metrics:
    metrics: dict[tuple[str, str], list[Column]] = {}
    for column in table.columns:
        if column.target and column.unit == UNIT and _measured(table, column):
            metrics.setdefault((column.label, column.metric), []).append(column)
    return {key: columns for key, columns in metrics.items() if len(columns) >= SEVERAL}


def _measured(table: Table, column: Column) -> list[Row]:
    return [row for row in table.rows if column in row.measured]


def _alike(table: Table, columns: Sequence[Column], looks: Looks, where: str) -> Alike:
    every: list[Estimate] = []
    for column in columns:
        every += [row.measured[column].ours for row in _measured(table, column)]
    targets = [_target(table, column, every, looks, where) for column in columns]
    content_first = sorted(targets, key=lambda target: not target.is_content)
    positives = table.rows[0].settings.get("positives") or {}
    return Alike(where, ", ".join(positives.get("share", ())), content_first)


def _target(table: Table, column: Column, every: Sequence[Estimate], looks: Looks, where: str) -> TargetPlot:
    rows = _measured(table, column)
    names = all_short([row.label_among(where) for row in rows])
    target = column.target + column.note
    plot = BarPlot(
        bars={name: row.measured[column].ours for name, row in zip(names, rows, strict=True)},
        scale_over=every,
        looks={name: looks[row.label] for name, row in zip(names, rows, strict=True)},
        description=f"{column.key} of each method",
        caption=target,
    )
    return TargetPlot(target, _role(column, rows) == "content", plot)


def _role(column: Column, rows: Sequence[Row]) -> str | None:
    """The role that the target has in these runs. In others of the table it may have another."""
    for row in rows:
        for run in row.members:
            if column.key in run.metrics:
                return role_of(column.key, run)
    return column.role

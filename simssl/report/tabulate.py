"""Many runs become one table: a row for each method and setting, mean and standard error over its seeds.

Runs that differ in anything but the seed stand in different rows, and numbers that were made by different
protocols in different columns: nothing is merged in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from simssl.report import notes
from simssl.report.columns import Column, column_of, columns_of, is_undertrained
from simssl.report.compare.best import mark_best
from simssl.report.compare.choose import choose
from simssl.report.compare.published import PublishedTable, read_published, value_beside
from simssl.report.compare.relative import take_differences
from simssl.report.labels import Label, labels_of
from simssl.report.runs import Run, merge_copies
from simssl.report.table import Absent, Measured, Row, Table

GRAVEST_FIRST = ("unreadable", "unfinished", "not run")
"""The reasons for which a number is not there. A row of several shows the first of them."""


def tabulate(
    runs: Sequence[Run],
    against: str | None = None,
    relative_to: str | None = None,
    unreadable: Sequence[str] = (),
    chosen_by: str | None = None,
) -> Table:
    """One row for each setting, in the order of the runs.

    `against` names a published table; `relative_to` the method from which the others' differences are taken, where
    experiment, data, views, networks and budget are the same; `unreadable` says which runs are left out. `chosen_by`
    is the metric by which one of several settings of a method is chosen on held-out images: the others are left out.
    UserError if there is no such table, row or metric.
    """
    published = read_published(against) if against else {}
    runs, copies = merge_copies(runs)
    by_experiment = _columns_by_experiment(runs)
    rows = _rows(runs, by_experiment, published)
    choices: list[str] = []
    if chosen_by is not None:
        rows, choices = choose(rows, chosen_by)
        runs = [run for row in rows for run in row.members]
    columns = columns_of(runs)
    rows = mark_best(rows)
    unrelated: list[str] = []
    if relative_to is not None:
        rows, unrelated = take_differences(rows, relative_to)
    sentences = [
        *choices,
        *notes.skipped(runs),
        *notes.missing(rows),
        *copies,
        *notes.beside(rows, against),
        *notes.unknown_families(rows),
        *notes.several_settings_of_one(rows),
        *unrelated,
        *unreadable,
    ]
    return Table(
        columns=columns,
        rows=rows,
        notes=sentences,
        relative_to=relative_to,
        against=against,
        chosen_by=chosen_by,
    )


def _columns_by_experiment(runs: Sequence[Run]) -> dict[str, list[Column]]:
    """The columns of each experiment's table: those that it would have if it were reported alone."""
    of_experiment: dict[str, list[Run]] = {}
    for run in runs:
        of_experiment.setdefault(run.settings["name"], []).append(run)
    return {name: columns_of(own) for name, own in of_experiment.items()}


def _rows(runs: Sequence[Run], columns: Mapping[str, Sequence[Column]], published: PublishedTable) -> list[Row]:
    """A row for each group of runs that differ in their seeds alone. `columns` are those of each experiment."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    one_of_each = [group[0] for group in groups.values()]
    labels = labels_of(one_of_each)
    rows = []
    for group, label in zip(groups.values(), labels, strict=True):
        own = columns[group[0].settings["name"]]
        row = _row(group, label, own, published)
        rows.append(row)
    return rows


def _row(group: Sequence[Run], label: Label, columns: Sequence[Column], published: PublishedTable) -> Row:
    values: dict[Column, dict[int, float]] = {}
    held_out: dict[Column, dict[int, float]] = {}
    undertrained = set()
    for run in group:
        seed = run.settings["seed"]
        for key, entry in run.metrics.items():
            if "value" in entry:
                column = column_of(key, entry)
                by_seed = values.setdefault(column, {})
                by_seed[seed] = entry["value"]
                if "held_out" in entry:
                    held_out.setdefault(column, {})[seed] = entry["held_out"]
                if is_undertrained(entry):
                    undertrained.add(column)

    measured = {}
    absent = {}
    for column in columns:
        beside = value_beside(column, group[0], published)
        if column in values:
            by_seed = values[column]
            there = held_out.get(column, {})
            measured[column] = Measured(by_seed, beside, undertrained=column in undertrained, held_out=there)
            continue
        without = _absent(group, column)
        if without:
            absent[column] = replace(without, published=beside)
    return Row(label.label, group, measured, absent, names_apart=label)


def _absent(group: Sequence[Run], column: Column) -> Absent | None:
    """Return why there is no number, or None where the evaluator did not measure it, or is not asked to."""
    skip = _skip_reason(group, column)
    if skip:
        return Absent("skipped", skip)
    reasons = set()
    for run in group:
        if column.label in run.there:
            return None
        if column.label in run.lacking:
            reason = run.unmeasured if run.status == "measured" else run.status
            reasons.add(reason)
    if not reasons:
        return None
    gravest = min(reasons, key=GRAVEST_FIRST.index)
    return Absent(gravest)


def _skip_reason(group: Sequence[Run], column: Column) -> str | None:
    """The first reason for which the evaluator, or this metric of it, was skipped."""
    for run in group:
        for key in (column.label, column.key):
            entry = run.metrics.get(key, {})
            if "skipped" in entry:
                return str(entry["skipped"])
    return None

"""Many runs become one table: a row for each method and setting, mean and standard error over its seeds.

Runs that differ in anything but the seed stand in different rows, and numbers that were made by different
protocols in different columns: nothing is merged in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from simssl.report import notes
from simssl.report.best import mark_best
from simssl.report.columns import Column, column_of, columns_of
from simssl.report.published import Published, read_published
from simssl.report.relative import related
from simssl.report.runs import Run, circumstances_of, once, settings_of
from simssl.report.table import Absent, Measured, Row, Table

PublishedTable = Mapping[tuple[str, str, str], Published]


def tabulate(
    runs: Sequence[Run], against: str | None = None, relative_to: str | None = None, unreadable: Sequence[str] = ()
) -> Table:
    """One row for each setting, in the order of the runs.

    `against` names a published table; `relative_to` the method from which the others' differences are taken, where
    experiment, data, views, networks and budget are the same; `unreadable` says which runs are left out. UserError if
    there is no such table or row.
    """
    published = read_published(against) if against else {}
    runs, copies = once(runs)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    columns = columns_of(runs)
    labels = _labels([group[0] for group in groups.values()])
    rows = [_row(group, label, columns, published) for group, label in zip(groups.values(), labels, strict=True)]
    rows, unrelated = related(mark_best(rows), relative_to) if relative_to is not None else (mark_best(rows), [])
    said = [notes.skipped(runs), notes.missing(rows), copies, notes.beside(rows, against), notes.unknown_families(rows)]
    return Table(columns, rows, [*chain(*said), *unrelated, *unreadable], relative_to, against)


def _row(group: Sequence[Run], label: str, columns: Sequence[Column], published: PublishedTable) -> Row:
    settings = group[0].settings
    names = settings["dataset"]["name"], settings["objective"]["name"]
    found: dict[Column, dict[int, float]] = {}
    for run in group:
        for key, entry in run.metrics.items():
            if "value" in entry:
                found.setdefault(column_of(key, entry), {})[run.settings["seed"]] = entry["value"]
    cells, absent = {}, {}
    for column in columns:
        beside = published.get((*names, column.published_key))
        if column in found:
            cells[column] = Measured(found[column], beside)
        elif why := _why_absent(group, column):
            absent[column] = replace(why, published=beside)
    return Row(label, group, cells, absent)


def _why_absent(group: Sequence[Run], column: Column) -> Absent | None:
    """Why there is no number, or None where the evaluator did not measure it, or is not asked to."""
    entries = (run.metrics.get(key, {}) for run in group for key in (column.label, column.key))
    if reason := next((entry["skipped"] for entry in entries if "skipped" in entry), None):
        return Absent("skipped", reason)
    lacking = [run for run in group if column.label in run.lacking]
    if not lacking or any(column.label in run.there for run in group):
        return None
    found = (run.unmeasured if run.status == "measured" else run.status for run in lacking)
    return Absent(min(found, key=("unreadable", "unfinished", "not run").index))


def _labels(groups: Sequence[Run]) -> list[str]:
    """The objective's name, with the settings in which it differs from its namesakes in the experiment, and with the
    data, views, networks and budget in which it differs from any method there."""
    flat = [settings_of(run) for run in groups]
    labels = []
    for run, own in zip(groups, flat, strict=True):
        there = [other for of, other in zip(groups, flat, strict=True) if of.settings["name"] == run.settings["name"]]
        same = [other for other in there if other["objective.name"] == own["objective.name"]]
        shared = circumstances_of(run)
        differing = [key for key in own if any(o.get(key) != own[key] for o in (there if key in shared else same))]
        values = (f"{key.removeprefix('objective.')}={own[key]}" for key in differing)
        labels.append(" ".join((own["objective.name"], *values)))
    return labels

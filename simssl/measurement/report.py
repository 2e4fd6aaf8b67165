"""Many runs become one table: a row for each method and setting, mean and standard error over its seeds.

Runs that differ in anything but the seed stand in different rows, and numbers that were made by different
protocols in different columns: nothing is merged in silence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from simssl.errors import UserError
from simssl.measurement.best import COMPARED, mark_best
from simssl.measurement.columns import Identity, columns_of, identity
from simssl.measurement.estimate import difference
from simssl.measurement.published import Published, read_published
from simssl.measurement.runs import Run, once, settings_of
from simssl.measurement.table import Absent, Cell, Column, Row, Table

PublishedTable = Mapping[tuple[str, str, str], Published]


def tabulate(runs: Sequence[Run], against: str | None = None, relative_to: str | None = None) -> Table:
    """One row for each setting, in the order of the runs.

    `against` names a published table; `relative_to` the method from which the others' differences are taken, where
    experiment, data, views, networks and budget are the same. UserError if there is no such row.
    """
    published = read_published(against) if against else {}
    runs, copies = once(runs)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    columns = columns_of(runs)
    labels = _labels([group[0] for group in groups.values()])
    rows = [_row(group, label, columns, published) for group, label in zip(groups.values(), labels, strict=True)]
    rows = mark_best(rows)
    notes = [*_skipped(runs), *_missing(rows), *copies, *_unlike(rows), *_unknown_families(rows)]
    if relative_to is not None:
        rows, unrelated = _relative(rows, relative_to)
        notes += unrelated
    return Table(list(columns.values()), rows, notes, relative_to)


def _row(group: Sequence[Run], label: str, columns: Mapping[Identity, Column], published: PublishedTable) -> Row:
    settings = group[0].settings
    names = settings["dataset"]["name"], settings["objective"]["name"]
    cells, absent = {}, {}
    for identity_, column in columns.items():
        beside = published.get((*names, column.published_key))
        by_seed = {
            run.settings["seed"]: run.metrics[column.key]["value"]
            for run in group
            if "value" in run.metrics.get(column.key, {}) and identity(column.key, run.metrics[column.key]) == identity_
        }
        if by_seed:
            cells[column] = Cell(by_seed, beside)
        elif why := _why_absent(group, column):
            absent[column] = replace(why, published=beside)
    return Row(label, group, cells, absent)


def _why_absent(group: Sequence[Run], column: Column) -> Absent | None:
    """Why there is no number, or None where the evaluator did not measure it, or is not asked to."""
    entries = (run.metrics.get(key, {}) for run in group for key in (column.label, column.key))
    if reason := next((entry["skipped"] for entry in entries if "skipped" in entry), None):
        return Absent("skipped", reason)
    asked = {evaluator.get("as", evaluator["name"]) for evaluator in group[0].settings["evaluators"]}
    if column.label not in asked or any(run.status == "measured" for run in group):
        return None
    return Absent(min((run.status for run in group), key=("unreadable", "unfinished", "not run").index))


def _relative(rows: Sequence[Row], method: str) -> tuple[list[Row], list[str]]:
    """The rows with their differences from the one of that label, or objective, in the same circumstances."""
    if not any(method in row.names for row in rows):
        raise UserError(f"no row is called '{method}'; there are: {', '.join(dict.fromkeys(r.label for r in rows))}")
    related, notes = [], []
    for row in rows:
        bases = [base for base in rows if method in base.names and base.circumstances == row.circumstances]
        if len(bases) == 1 and row is not bases[0]:
            row = minus(row, bases[0])
        elif len(bases) != 1:
            found = "several rows of {} share" if bases else "no row of {} shares"
            notes.append(f"{row.label}: no difference, since {found.format(method)} its data, views and budget")
        related.append(row)
    return related, notes


def minus(row: Row, base: Row) -> Row:
    """The row with its differences from another, seed by seed."""
    both = row.cells.keys() & base.cells.keys()
    found = {column: difference(row.cells[column].by_seed, base.cells[column].by_seed) for column in both}
    return replace(row, cells={c: replace(cell, difference=found.get(c)) for c, cell in row.cells.items()})


def _labels(groups: Sequence[Run]) -> list[str]:
    """The objective's name, and the settings in which it differs from its namesakes in the experiment."""
    flat = [settings_of(run) for run in groups]
    labels = []
    for run, own in zip(groups, flat, strict=True):
        same = [
            other
            for other_run, other in zip(groups, flat, strict=True)
            if other_run.settings["name"] == run.settings["name"] and other["objective.name"] == own["objective.name"]
        ]
        differing = [key for key in own if any(other.get(key) != own[key] for other in same)]
        values = (f"{key.removeprefix('objective.')}={own[key]}" for key in differing)
        labels.append(" ".join((own["objective.name"], *values)))
    return labels


# --- notes -----------------------------------------------------------------------------------------------


def _skipped(runs: Sequence[Run]) -> list[str]:
    skipped = {
        f"{key}: skipped, {entry['skipped']}": None
        for run in runs
        for key, entry in run.metrics.items()
        if "skipped" in entry
    }
    return list(skipped)


def _missing(rows: Sequence[Row]) -> list[str]:
    """A sentence for each row that some of its seeds are missing from."""
    return [
        f"{row.label}: {status} with seed {', '.join(seeds)}"
        for row in rows
        if row.runs
        for status in ("unfinished", "not run")
        if (seeds := [str(run.settings["seed"]) for run in row.members if run.status == status])
    ]


def _unlike(rows: Sequence[Row]) -> list[str]:
    """A sentence for each source whose values were selected otherwise than the numbers beside them."""
    pairs = [(column, cell.published) for row in rows for column, cell in row.cells.items() if cell.published]
    sentences = {
        f"{published.source} was selected on {published.selected_on}: compare it with the columns that were, too"
        for column, published in pairs
        if published.selected_on and published.selected_on != column.protocol.get("selected_on")
    }
    return sorted(sentences)


def _unknown_families(rows: Sequence[Row]) -> list[str]:
    """A sentence if rows could be compared, were their families known."""
    unknown = [json.dumps(row.circumstances) for row in rows if row.runs and row.family is None]
    if len(set(unknown)) == len(unknown):
        return []
    families = " or ".join(COMPARED)
    return [f"no best is marked where it is not recorded whether methods are {families}; simssl evaluate RUN_DIR does"]

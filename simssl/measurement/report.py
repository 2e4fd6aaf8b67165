"""Many runs become one table: a row for each method and setting, mean and standard error over its seeds.

Runs that differ in anything but the seed stand in different rows, and numbers that were made by different
protocols in different columns: nothing is merged in silence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from simssl.errors import UserError
from simssl.measurement.estimate import Estimate, difference
from simssl.measurement.published import Published, read_published
from simssl.measurement.runs import SETTINGS, Run, once


@dataclass(frozen=True)
class Cell:
    """What the runs of a row found, by seed; beside it a published value, and the difference from another row."""

    by_seed: Mapping[int, float]
    published: Published | None = None
    difference: Estimate | None = None

    @property
    def ours(self) -> Estimate:
        return Estimate.of(list(self.by_seed.values()))


@dataclass(frozen=True)
class Column:
    """A metric made by one protocol. `note` tells columns of one key apart."""

    key: str
    unit: str
    better: str | None
    protocol: Mapping[str, Any] = field(compare=False)
    note: str = ""

    @property
    def remark(self) -> str:
        """What a reader must know beside the key."""
        on_test = " (selected on test)" if self.protocol.get("selected_on") == "test" else ""
        return on_test + self.note

    @property
    def published_key(self) -> str:
        """The key by the evaluator's own name, whatever it is called here; `knn@projection/...` if it measured
        another layer than the representation."""
        label, *rest = self.key.split("/")
        layer = self.protocol.get("layer", "representation")
        at = "" if layer == "representation" else f"@{layer}"
        return "/".join([self.protocol.get("evaluator", {}).get("name", label) + at, *rest])

    @property
    def title(self) -> str:
        return self.key + self.remark


@dataclass(frozen=True)
class Row:
    experiment: str
    label: str
    runs: int
    cells: Mapping[Column, Cell]
    settings: Mapping[str, Any]

    @property
    def names(self) -> set[str]:
        """What a user may call it."""
        return {self.label, self.settings["objective"]["name"]}

    @property
    def circumstances(self) -> list[Any]:
        """What two methods must share to be compared: all but the objective and how it is optimised."""
        budget = [self.settings["training"].get(key) for key in ("views", "epochs")]
        return [
            self.experiment,
            *(self.settings[key] for key in ("dataset", "views", "backbone", "latent_dim")),
            budget,
        ]


@dataclass(frozen=True)
class Table:
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str]
    relative_to: str | None = None
    """The method that differences are taken from."""

    @property
    def summary(self) -> list[Column]:
        """The columns a terminal shows: of each evaluator what it gives as its summary, or else everything."""
        summarised = {c.key.split("/")[0] for c in self.columns if c.key.count("/") == 1}
        return [c for c in self.columns if c.key.count("/") == 1 or c.key.split("/")[0] not in summarised]


# --- the table -------------------------------------------------------------------------------------------


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
    columns = _columns(runs)
    labels = _labels([group[0] for group in groups.values()])
    rows = [_row(group, label, columns, published) for group, label in zip(groups.values(), labels, strict=True)]
    notes = [*_notes(runs), *copies, *_unlike(rows)]
    if relative_to is not None:
        rows, unrelated = _relative(rows, relative_to)
        notes += unrelated
    return Table(list(columns.values()), rows, notes, relative_to)


def _protocol_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """How a number was made, without what was selected or found in making it."""
    return {key: value for key, value in entry["protocol"].items() if key not in ("selected", "found")}


def _identity(key: str, entry: Mapping[str, Any]) -> tuple[str, str]:
    return key, json.dumps(_protocol_of(entry), sort_keys=True)


def _columns(runs: Sequence[Run]) -> dict[tuple[str, str], Column]:
    entries = {
        _identity(key, entry): entry
        for run in runs
        for key, entry in sorted(run.metrics.items(), key=lambda item: _order(run, item[0]))
        if "value" in entry
    }
    protocols: dict[str, list[dict[str, Any]]] = {}
    for (key, _), entry in entries.items():
        protocols.setdefault(key, []).append(_protocol_of(entry))
    return {
        identity: _column(identity[0], entry, protocols[identity[0]])
        for identity, entry in sorted(entries.items(), key=lambda item: list(protocols).index(item[0][0]))
    }


def _order(run: Run, key: str) -> tuple[int, int, str]:
    """Evaluators as the file lists them, each one's summary first."""
    labels = [evaluator.get("as", evaluator["name"]) for evaluator in run.settings["evaluators"]]
    label = key.split("/")[0]
    return labels.index(label) if label in labels else len(labels), key.count("/"), key


def _column(key: str, entry: Mapping[str, Any], protocols: list[dict[str, Any]]) -> Column:
    protocol = _protocol_of(entry)
    note = ""
    if len(protocols) > 1:
        flat = [_flatten(p) for p in protocols]
        differing = sorted(k for k in set().union(*flat) if len({json.dumps(f.get(k)) for f in flat}) > 1)
        own = _flatten(protocol)
        note = " [" + ", ".join(f"{k.removeprefix('evaluator.')} {own.get(k)}" for k in differing) + "]"
    return Column(key, entry["unit"], entry["better"], protocol, note)


def _row(
    group: Sequence[Run],
    label: str,
    columns: Mapping[tuple[str, str], Column],
    published: Mapping[tuple[str, str, str], Published],
) -> Row:
    settings = group[0].settings
    names = settings["dataset"]["name"], settings["objective"]["name"]
    cells = {}
    for identity, column in columns.items():
        by_seed = {
            run.settings["seed"]: run.metrics[column.key]["value"]
            for run in group
            if "value" in run.metrics.get(column.key, {}) and _identity(column.key, run.metrics[column.key]) == identity
        }
        if by_seed:
            cells[column] = Cell(by_seed, published.get((*names, column.published_key)))
    return Row(settings["name"], label, len(group), cells, settings)


def _relative(rows: Sequence[Row], method: str) -> tuple[list[Row], list[str]]:
    """The rows with their differences from the one of that label, or objective, in the same circumstances."""
    if not any(method in row.names for row in rows):
        raise UserError(f"no row is called '{method}'; there are: {', '.join(dict.fromkeys(r.label for r in rows))}")
    related, notes = [], []
    for row in rows:
        bases = [base for base in rows if method in base.names and base.circumstances == row.circumstances]
        if len(bases) == 1 and row is not bases[0]:
            row = _minus(row, bases[0])
        elif len(bases) != 1:
            found = "several rows of {} share" if bases else "no row of {} shares"
            notes.append(f"{row.label}: no difference, since {found.format(method)} its data, views and budget")
        related.append(row)
    return related, notes


def _minus(row: Row, base: Row) -> Row:
    both = row.cells.keys() & base.cells.keys()
    found = {column: difference(row.cells[column].by_seed, base.cells[column].by_seed) for column in both}
    return replace(row, cells={c: replace(cell, difference=found.get(c)) for c, cell in row.cells.items()})


def _labels(groups: Sequence[Run]) -> list[str]:
    """The objective's name, and the settings in which it differs from its namesakes in the experiment."""
    flat = [_flatten({key: run.settings[key] for key in SETTINGS}) for run in groups]
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


def _flatten(tree: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {path: tree}
    parts = (_flatten(value, f"{path}.{key}" if path else key) for key, value in tree.items())
    return {key: value for part in parts for key, value in part.items()}


def _unlike(rows: Sequence[Row]) -> list[str]:
    """A sentence for each source whose values were selected otherwise than the numbers beside them."""
    pairs = [(column, cell.published) for row in rows for column, cell in row.cells.items() if cell.published]
    sentences = {
        f"{published.source} was selected on {published.selected_on}: compare it with the columns that were, too"
        for column, published in pairs
        if published.selected_on and published.selected_on != column.protocol.get("selected_on")
    }
    return sorted(sentences)


def _notes(runs: Sequence[Run]) -> list[str]:
    skipped = {
        f"{key}: skipped, {entry['skipped']}": None
        for run in runs
        for key, entry in run.metrics.items()
        if "skipped" in entry
    }
    return list(skipped)

"""Many runs become one table: a row for each method and setting, mean and standard error over its seeds.

Runs that differ in anything but the seed stand in different rows, and numbers that were made by different
protocols in different columns: nothing is merged in silence.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simssl.errors import RunError, SimsslError, UserError
from simssl.experiment.yaml12 import read
from simssl.measurement.metrics import read_metrics
from simssl.measurement.published import Published, read_published
from simssl.training.folder import RunFolder

SETTINGS = ("dataset", "views", "backbone", "latent_dim", "objective", "training")
"""What the runs of one row have in common, besides the experiment's name."""


@dataclass(frozen=True)
class Run:
    """What a finished run's folder says of it."""

    settings: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]

    @property
    def group(self) -> str:
        return json.dumps([self.settings["name"], *(self.settings[key] for key in SETTINGS)], sort_keys=True)


@dataclass(frozen=True)
class Cell:
    """The mean over `n` runs and its standard error (None for a single run)."""

    mean: float
    stderr: float | None
    n: int
    published: Published | None = None


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
        """The key by the evaluator's own name, whatever it is called here."""
        label, *rest = self.key.split("/")
        return "/".join([self.protocol.get("evaluator", {}).get("name", label), *rest])

    @property
    def title(self) -> str:
        return self.key + self.remark


@dataclass(frozen=True)
class Row:
    experiment: str
    label: str
    runs: int
    cells: Mapping[Column, Cell]


@dataclass(frozen=True)
class Table:
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str]

    @property
    def summary(self) -> list[Column]:
        """The columns a terminal shows: of each evaluator what it gives as its summary, or else everything."""
        summarised = {c.key.split("/")[0] for c in self.columns if c.key.count("/") == 1}
        return [c for c in self.columns if c.key.count("/") == 1 or c.key.split("/")[0] not in summarised]


# --- reading ---------------------------------------------------------------------------------------------


def find(paths: Sequence[Path]) -> list[Path]:
    """The finished runs in these folders, each once; UserError if there is none."""
    found: dict[Path, Path] = {}
    for path in paths:
        for run in sorted(file.parent for file in path.rglob("metrics.json")):
            if not any(part.startswith(".") for part in run.relative_to(path).parts):
                found.setdefault(run.resolve(), run)
    if not found:
        raise UserError(f"no finished run was found in {', '.join(map(str, paths))}")
    return list(found.values())


def load(path: Path) -> Run:
    """The run in a folder; RunError says what is wrong with it."""
    folder = RunFolder(path)
    metrics = read_metrics(folder)
    if metrics is None or not folder.experiment.exists():
        raise RunError(f"{path} is not a finished run: it needs a metrics.json and an experiment.yaml")
    settings = read(folder.experiment).tree
    wrong = [key for key, fits in _FITS.items() if not fits(settings.get(key))]
    if wrong:
        raise RunError(f"{folder.experiment} is damaged: {', '.join(wrong)} is missing or no run's")
    return Run(settings, metrics)


def _names_plugin(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


_FITS: dict[str, Callable[[Any], bool]] = {
    "name": lambda value: isinstance(value, str),
    "seed": lambda value: isinstance(value, int),
    "evaluators": lambda value: isinstance(value, list) and all(map(_names_plugin, value)),
    "latent_dim": lambda value: isinstance(value, int),
    **dict.fromkeys(("views", "training"), lambda value: isinstance(value, dict)),
    **dict.fromkeys(("dataset", "backbone", "objective"), _names_plugin),
}
"""What a run's experiment.yaml must hold to be shown."""


def load_all(paths: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """The runs in these folders, and a sentence for each that cannot be read."""
    runs, unreadable = [], []
    for path in paths:
        try:
            runs.append(load(path))
        except SimsslError as error:
            unreadable.append(f"left out: {error}")
    return runs, unreadable


# --- the table -------------------------------------------------------------------------------------------


def tabulate(runs: Sequence[Run], against: str | None = None) -> Table:
    """One row for each setting, in the order of the runs."""
    published = read_published(against) if against else {}
    runs, copies = _once(runs)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    columns = _columns(runs)
    labels = _labels([group[0] for group in groups.values()])
    rows = [_row(group, label, columns, published) for group, label in zip(groups.values(), labels, strict=True)]
    return Table(list(columns.values()), rows, [*_notes(runs), *copies, *_unlike(rows)])


def _once(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Copies of one run as one, with all that was measured on any of them; and sentences that say so."""
    once: dict[tuple[str, int], Run] = {}
    differing: dict[str, None] = {}
    for run in runs:
        identity = run.group, run.settings["seed"]
        first = once.setdefault(identity, run)
        both = run.metrics.keys() & first.metrics.keys()
        differing |= dict.fromkeys(sorted(key for key in both if run.metrics[key] != first.metrics[key]))
        once[identity] = replace(first, metrics={**run.metrics, **first.metrics})
    notes = [f"{key}: copies of a run differ, and the first is shown" for key in differing]
    if len(once) < len(runs):
        notes.insert(0, f"{len(runs) - len(once)} of the runs are copies of others, and counted once")
    return list(once.values()), notes


def _protocol_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """How a number was made, without what was selected in making it."""
    return {key: value for key, value in entry["protocol"].items() if key != "selected"}


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
        values = [
            run.metrics[column.key]["value"]
            for run in group
            if "value" in run.metrics.get(column.key, {}) and _identity(column.key, run.metrics[column.key]) == identity
        ]
        if values:
            stderr = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
            reference = published.get((*names, column.published_key))
            cells[column] = Cell(statistics.fmean(values), stderr, len(values), reference)
    return Row(settings["name"], label, len(group), cells)


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

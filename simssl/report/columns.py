"""The columns of a report: one for each metric and each protocol that made it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from simssl.report import words
from simssl.report.roles import role_of
from simssl.report.runs import Run, flatten
from simssl.store.metrics import label_of

CAME_OUT = ("selected", "found")
"""The keys of a protocol whose values differ from run to run: hyperparameters selected, quantities estimated."""

BESIDE = (*CAME_OUT, "role")
"""The keys of a protocol that make no column of their own."""

MOST = 3
"""Parts of the protocol that a column's note names; all of them stand in `json` and on the page."""


@dataclass(frozen=True)
class Column:
    """A metric made by one protocol, or an evaluator that is asked for and has measured nothing yet."""

    key: str
    unit: str
    better: str | None
    made: str
    """The protocol as text; empty if nothing is measured yet. Numbers of another protocol stand in another column."""
    protocol: Mapping[str, Any] = field(compare=False)
    role: str | None = field(default=None, compare=False)
    """content or style, whichever is measured; None if that is not known."""
    note: str = field(default="", compare=False)
    """The difference from the other columns of its key in the table, in words."""

    @property
    def label(self) -> str:
        """The label of its evaluator in the experiment."""
        return label_of(self.key)

    @property
    def target(self) -> str:
        """The label that is measured, or the parameter of the views; empty for an evaluator's summary."""
        parts = self.key.split("/")
        return "/".join(parts[1:-1])

    @property
    def metric(self) -> str:
        parts = self.key.split("/")
        return parts[-1]

    @property
    def layer(self) -> str:
        return str(self.protocol.get("layer", "representation"))

    @property
    def dataset(self) -> str:
        """The data set that is measured in place of the run's own; empty if it is that."""
        return str(self.protocol.get("measured_on", ""))

    @property
    def remark(self) -> str:
        """The words that a reader needs beside the key."""
        remark = ""
        if self.dataset and not self.label.endswith(f":{self.dataset}"):
            remark += f" (on {self.dataset})"
        if self.protocol.get("selected_on") == "test":
            remark += " (selected on test)"
        return remark + self.note

    @property
    def published_key(self) -> str:
        """The key by the evaluator's own name, whatever it is called here.

        It is `knn@projection/...` if another layer than the representation is measured, and `knn:mnist/...` if another
        data set is.
        """
        evaluator = self.protocol.get("evaluator", {})
        name = evaluator.get("name", self.label)
        if self.dataset:
            name += f":{self.dataset}"
        if self.layer != "representation":
            name += f"@{self.layer}"
        _, *rest = self.key.split("/")
        return "/".join([name, *rest])

    @property
    def title(self) -> str:
        return self.key + self.remark


def column_of(key: str, entry: Mapping[str, Any]) -> Column:
    """The column of a number in metrics.json.

    A protocol that says nothing of a key, and one that says null, are the same.
    """
    protocol = _without_empty(entry["protocol"])
    for name in BESIDE:
        protocol.pop(name, None)
    return Column(
        key=key,
        unit=entry["unit"],
        better=entry["better"],
        made=json.dumps(protocol, sort_keys=True),
        protocol=protocol,
    )


def is_undertrained(entry: Mapping[str, Any]) -> bool:
    """Whether the entry's protocol says that what measured it would do better if it were trained for longer."""
    found = entry["protocol"].get("found")
    return isinstance(found, dict) and found.get("undertrained") is True


def _without_empty(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping without what is null or empty."""
    kept = {}
    for key, value in tree.items():
        inside = value
        if isinstance(value, dict):
            inside = _without_empty(value)
        if inside not in (None, "", [], {}):
            kept[key] = inside
    return kept


def columns_of(runs: Sequence[Run]) -> list[Column]:
    """The columns of a table, as the runs' files list their evaluators, each one's summary first."""
    columns = [*_measured(runs), *_unmeasured(runs)]

    labels = []
    for run in runs:
        labels += run.asked
    keys = []
    for column in columns:
        labels.append(column.label)
        keys.append(column.key)

    def order(column: Column) -> tuple[int, int, int]:
        evaluator = labels.index(column.label)
        depth = column.key.count("/")
        key = keys.index(column.key)
        return evaluator, depth, key

    return told_apart(sorted(columns, key=order))


def _measured(runs: Sequence[Run]) -> list[Column]:
    """The columns of all numbers, each with the first role that a run knows of it."""
    roles: dict[Column, str | None] = {}
    for run in runs:
        for key in sorted(run.metrics, key=_summary_first):
            entry = run.metrics[key]
            if "value" not in entry:
                continue
            column = column_of(key, entry)
            if not roles.get(column):
                roles[column] = role_of(key, run)

    columns = []
    for column, role in roles.items():
        with_role = replace(column, role=role)
        columns.append(with_role)
    return columns


def _summary_first(key: str) -> tuple[int, str]:
    """The rank of a key among its evaluator's: the fewer parts it has, the earlier it comes."""
    depth = key.count("/")
    return depth, key


def _unmeasured(runs: Sequence[Run]) -> list[Column]:
    """A column for each evaluator that an experiment asks for and that has measured nothing in any of its runs."""
    measured = set()
    for run in runs:
        for key, entry in run.metrics.items():
            if "value" in entry:
                measured.add((run.settings["name"], label_of(key)))
    columns = {}
    for run in runs:
        for label in run.lacking:
            if (run.settings["name"], label) not in measured:
                columns[label] = Column(label, unit="", better=None, made="", protocol={})
    return list(columns.values())


def told_apart(columns: Sequence[Column]) -> list[Column]:
    """The columns of one table, with notes on those whose key another has, too: where their protocols differ."""
    namesakes: dict[str, list[Column]] = {}
    for column in columns:
        namesakes.setdefault(column.key, []).append(column)

    noted = []
    for column in columns:
        note = _note(column, namesakes[column.key])
        with_note = replace(column, note=note)
        noted.append(with_note)
    return noted


def _note(column: Column, namesakes: Sequence[Column]) -> str:
    """The settings in which a column differs from its namesakes: " [k 5, layer projection]"; nothing if in none."""
    own = _settings(column)
    settings = [_settings(namesake) for namesake in namesakes]
    differing = []
    for key in sorted(set().union(*settings)):
        values = [of_one.get(key) for of_one in settings]
        texts = set(map(json.dumps, values))
        if len(texts) > 1:
            differing.append(key)
    if not differing:
        return ""

    told = []
    for key in differing[:MOST]:
        name = key.removeprefix("evaluator.")
        value = words.value(own.get(key, "not set"))
        told.append(f"{name} {words.short(value)}")
    more = len(differing) - MOST
    if more > 0:
        told.append(f"{more} more")
    listed = ", ".join(told)
    return f" [{listed}]"


def _settings(column: Column) -> dict[str, Any]:
    settings = {
        "unit": column.unit,
        "better": column.better,
        **column.protocol,
    }
    return flatten(settings)

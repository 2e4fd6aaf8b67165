"""The columns of a report: one for each metric and each protocol that made it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from simssl.report import words
from simssl.report.runs import Run, flatten
from simssl.store.metrics import ROLES, label_of

CAME_OUT = ("selected", "found")
"""What a protocol says of a run, not of all: what was selected, and what was found on the way."""

BESIDE = (*CAME_OUT, "role")
"""What stands in a protocol and makes no other number."""

MOST = 3
"""Parts of the protocol that a column's note names; all of them stand in `json` and on the page."""


@dataclass(frozen=True)
class Column:
    """A metric made by one protocol; or an evaluator that is asked for and has measured nothing yet, whose `made` is
    empty."""

    key: str
    unit: str
    better: str | None
    made: str
    """The protocol as text. Numbers of other protocols stand in other columns."""
    protocol: Mapping[str, Any] = field(compare=False)
    role: str | None = field(default=None, compare=False)
    """content or style, if that is known of what is measured."""
    note: str = field(default="", compare=False)
    """What tells it from the other columns of its key in the table."""

    @property
    def label(self) -> str:
        """The evaluator's, in the experiment."""
        return label_of(self.key)

    @property
    def target(self) -> str:
        """Of what is measured; empty for an evaluator's summary."""
        return "/".join(self.key.split("/")[1:-1])

    @property
    def metric(self) -> str:
        return self.key.split("/")[-1]

    @property
    def layer(self) -> str:
        return str(self.protocol.get("layer", "representation"))

    @property
    def remark(self) -> str:
        """What a reader must know beside the key."""
        on_test = " (selected on test)" if self.protocol.get("selected_on") == "test" else ""
        return on_test + self.note

    @property
    def published_key(self) -> str:
        """The key by the evaluator's own name, whatever it is called here; `knn@projection/...` if it measured
        another layer than the representation."""
        _, *rest = self.key.split("/")
        at = "" if self.layer == "representation" else f"@{self.layer}"
        return "/".join([self.protocol.get("evaluator", {}).get("name", self.label) + at, *rest])

    @property
    def title(self) -> str:
        return self.key + self.remark


def column_of(key: str, entry: Mapping[str, Any]) -> Column:
    """The column of a number in metrics.json. What a protocol says nothing of and what it says is null are the same."""
    protocol = _told({k: value for k, value in entry["protocol"].items() if k not in BESIDE})
    return Column(key, entry["unit"], entry["better"], json.dumps(protocol, sort_keys=True), protocol)


def _told(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping without what is null or empty."""
    inside = {key: _told(value) if isinstance(value, dict) else value for key, value in tree.items()}
    return {key: value for key, value in inside.items() if value not in (None, "", [], {})}


def columns_of(runs: Sequence[Run]) -> list[Column]:
    """The columns, as the runs' files list their evaluators, each one's summary first."""
    roles: dict[Column, str | None] = {}
    for run in runs:
        for key, entry in sorted(run.metrics.items(), key=lambda item: (item[0].count("/"), item[0])):
            if "value" in entry:
                column = column_of(key, entry)
                roles[column] = roles.get(column) or role_of(key, run)
    measured = {column.label for column in roles}
    lacking = dict.fromkeys(label for run in runs for label in run.lacking if label not in measured)
    columns = [replace(column, role=role) for column, role in roles.items()]
    columns += [Column(label, "", None, "", {}) for label in lacking]
    labels = list(dict.fromkeys([*(label for run in runs for label in run.asked), *(c.label for c in columns)]))
    keys = list(dict.fromkeys(column.key for column in columns))
    return told_apart(sorted(columns, key=lambda c: (labels.index(c.label), c.key.count("/"), keys.index(c.key))))


def told_apart(columns: Iterable[Column]) -> list[Column]:
    """The columns of one table, with notes on those whose key another has, too: where their protocols differ."""
    namesakes: dict[str, list[Column]] = {}
    for column in columns:
        namesakes.setdefault(column.key, []).append(column)
    return [replace(column, note=_note(column, namesakes[column.key])) for column in columns]


def _note(column: Column, namesakes: Sequence[Column]) -> str:
    own, *flat = (flatten({"unit": c.unit, "better": c.better, **c.protocol}) for c in (column, *namesakes))
    differing = sorted(k for k in set().union(*flat) if len({json.dumps(f.get(k)) for f in flat}) > 1)
    if not differing:
        return ""
    said = [f"{k.removeprefix('evaluator.')} {words.short(words.value(own.get(k, 'not set')))}" for k in differing]
    more = [f"{len(said) - MOST} more"] if len(said) > MOST else []
    return f" [{', '.join(said[:MOST] + more)}]"


def role_of(key: str, run: Run) -> str | None:
    """Whether a metric measures content or style: as its protocol says, else as its target is, else, for an
    evaluator's summary, as all of its targets are."""
    told = run.metrics[key]["protocol"].get("role")
    if told in ROLES:
        return str(told)
    label, *targets, _ = key.split("/")
    known = {name: name for name in ROLES} | dict(run.roles)
    if targets:
        return next((known[target] for target in targets if target in known), None)
    parts = [
        part
        for part, entry in run.metrics.items()
        if label_of(part) == label and part.count("/") > 1 and "value" in entry
    ]
    roles = {role_of(part, run) for part in parts}
    return roles.pop() if len(roles) == 1 else None

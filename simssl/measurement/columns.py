"""The columns of a report: one for each metric and each protocol that made it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simssl.measurement.metrics import ROLES
from simssl.measurement.runs import Run, flatten
from simssl.measurement.table import Column

BESIDE = ("selected", "found", "role")
"""What stands in a protocol and makes no other number: what was selected or found, and the role."""

Identity = tuple[str, str]
"""A metric's key, and its protocol as text."""


def identity(key: str, entry: Mapping[str, Any]) -> Identity:
    return key, json.dumps(_protocol_of(entry), sort_keys=True)


def _protocol_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry["protocol"].items() if key not in BESIDE}


def columns_of(runs: Sequence[Run]) -> dict[Identity, Column]:
    """The columns, as the runs' files list their evaluators, each one's summary first."""
    found: dict[Identity, Mapping[str, Any]] = {}
    roles: dict[str, str | None] = {}
    for run in runs:
        for key in sorted(run.metrics, key=lambda key: _order(run, key)):
            if "value" in run.metrics[key]:
                found.setdefault(identity(key, run.metrics[key]), run.metrics[key])
                roles[key] = roles.get(key) or role_of(key, run)
    keys = _together(dict.fromkeys(key for key, _ in found))
    protocols = {key: [_protocol_of(entry) for (other, _), entry in found.items() if other == key] for key in keys}
    return {
        (key, text): _column(key, entry, protocols[key], roles[key])
        for (key, text), entry in sorted(found.items(), key=lambda item: keys.index(item[0][0]))
    }


def _together(keys: Iterable[str]) -> list[str]:
    """Each evaluator's keys in one place, its summary first, though some runs may lack some."""
    labels = list(dict.fromkeys(key.split("/")[0] for key in keys))
    return sorted(keys, key=lambda key: (labels.index(key.split("/")[0]), key.count("/")))


def _order(run: Run, key: str) -> tuple[int, int, str]:
    labels = [evaluator.get("as", evaluator["name"]) for evaluator in run.settings["evaluators"]]
    label = key.split("/")[0]
    return labels.index(label) if label in labels else len(labels), key.count("/"), key


def _column(key: str, entry: Mapping[str, Any], protocols: list[dict[str, Any]], role: str | None) -> Column:
    protocol = _protocol_of(entry)
    note = ""
    if len(protocols) > 1:
        flat = [flatten(p) for p in protocols]
        differing = sorted(k for k in set().union(*flat) if len({json.dumps(f.get(k)) for f in flat}) > 1)
        own = flatten(protocol)
        note = " [" + ", ".join(f"{k.removeprefix('evaluator.')} {own.get(k)}" for k in differing) + "]"
    return Column(key, entry["unit"], entry["better"], protocol, note, role)


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
        if part.startswith(f"{label}/") and part.count("/") > 1 and "value" in entry
    ]
    roles = {role_of(part, run) for part in parts}
    return roles.pop() if len(roles) == 1 else None

"""metrics.json: every number with its unit, direction and protocol, and what was skipped and why."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from simssl.errors import RunError
from simssl.experiment.model import Choice, Experiment
from simssl.store.files import read_json, write_json
from simssl.store.folder import RunFolder

SCHEMA = 1

Entry = Mapping[str, Any]
"""value, unit, better and protocol of a metric; or skipped and evaluator."""


FAMILIES = ("untrained", "discriminative", "generative")
"""Of methods: not trained by gradient; trained, without a decoder; trained, with one."""

ROLES = ("content", "style")
"""Of what is measured: kept by what is called the same image, or not."""

Facts = Mapping[str, Any]
"""`family` of the method; `roles`: content or style, of each target and of what the views draw; `about`: what each
evaluator says of itself."""


def read_metrics(folder: RunFolder) -> dict[str, Entry] | None:
    """The entries of metrics.json by key; None if there is no file, RunError if it is damaged."""
    document = read_json(folder.metrics)
    if document is None:
        return None
    entries = document.get("metrics")
    if not (isinstance(entries, dict) and all(_is_entry(*item) for item in entries.items())):
        raise RunError(f"{folder.metrics} is damaged; move it away and give the same command again")
    return entries


def read_facts(folder: RunFolder) -> Facts:
    """What metrics.json says of the run; nothing, if it does not (it was measured by an older simssl)."""
    document = read_json(folder.metrics) or {}
    family, roles, about = (document.get(key) for key in ("family", "roles", "about"))
    return {
        "family": family if family in FAMILIES else None,
        "roles": {k: role for k, role in roles.items() if role in ROLES} if isinstance(roles, dict) else {},
        "about": {k: str(text) for k, text in about.items()} if isinstance(about, dict) else {},
    }


def _is_entry(key: str, entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    if "skipped" in entry:
        return isinstance(entry["skipped"], str) and "evaluator" in entry
    value, protocol = entry.get("value"), entry.get("protocol")
    return (
        isinstance(value, (int, float))
        and abs(value) <= sys.float_info.max  # not a number is not
        and isinstance(entry.get("unit"), str)
        and entry.get("better", "") in ("higher", "lower", None)
        and isinstance(protocol, dict)
        and isinstance(protocol.get("evaluator", {}), dict)
        and "/" in key
    )


def missing(experiment: Experiment, folder: RunFolder, in_part: bool = False) -> list[Choice]:
    """The experiment's evaluators that have not measured this run yet with these parameters; with `in_part` also those
    that skipped single metrics."""
    entries = read_metrics(folder) or {}
    return [choice for choice in experiment.evaluators if not _measured(choice, entries, in_part)]


def _measured(choice: Choice, entries: Mapping[str, Entry], in_part: bool) -> bool:
    own = {key: entry for key, entry in entries.items() if label_of(key) == choice.label}
    made_by = [entry.get("evaluator") or entry.get("protocol", {}).get("evaluator") for entry in own.values()]
    whole = not in_part or not any("skipped" in entry for key, entry in own.items() if key != choice.label)
    return whole and bool(own) and all(evaluator == choice.resolved for evaluator in made_by)


def label_of(key: str) -> str:
    """Of a metric's key, the evaluator's label: its name, or its `as`."""
    return key.split("/")[0]


def record(
    experiment: Experiment, folder: RunFolder, facts: Facts, entries: Mapping[str, Entry], label: str = ""
) -> None:
    """Put these in the place of an evaluator's entries; the order is that of the keys."""
    others = {key: entry for key, entry in (read_metrics(folder) or {}).items() if label_of(key) != label}
    metrics = {**others, **entries}
    write_json(
        folder.metrics,
        {
            "schema": SCHEMA,
            "experiment": experiment.name,
            "objective": experiment.objective.name,
            "seed": experiment.seed,
            **facts,
            "metrics": {key: metrics[key] for key in sorted(metrics)},
        },
    )

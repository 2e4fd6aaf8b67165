"""metrics.json: every number with its unit, direction and protocol, and what was skipped and why.

Its keys are `<label>/<metric>`, or `<label>` for an evaluator that was skipped whole. The label is the evaluator's
name, or its `as`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simssl.errors import RunError
from simssl.experiment.model import Choice, Experiment
from simssl.store.files import read_json, write_json
from simssl.store.folder import RunFolder

SCHEMA = 1
"""The version of the layout of metrics.json, written there as `schema`."""

LARGEST = 1e300
"""The largest number that is shown. Means of larger ones are not finite."""

Entry = Mapping[str, Any]
"""One entry of metrics.json.

A metric has `value`, `unit`, `better` and `protocol`, and `held_out` where the same was measured on images held out of
train. What was skipped has `skipped`, the reason, and `evaluator`.
"""

FAMILIES = ("untrained", "discriminative", "generative")
"""The families of methods.

An untrained method is not trained by gradient. A discriminative one is trained and has no decoder. A generative one is
trained and has a decoder.
"""

ROLES = ("content", "style")
"""The roles of what is measured. Two images that are called the same share their content, and differ in style."""

Facts = Mapping[str, Any]
"""The facts of the run that stand in metrics.json beside its numbers.

`family` is the method's. `roles` maps each target, and each thing that the views draw, to content or style. `about`
maps each evaluator's label to what the evaluator says of itself.
"""


def read_metrics(folder: RunFolder) -> dict[str, Entry] | None:
    """Return the entries of metrics.json by key, or None if there is no file. RunError if it is damaged."""
    document = read_json(folder.metrics)
    if document is None:
        return None
    entries = document.get("metrics")
    damaged = RunError(f"{folder.metrics} is damaged; move it away and give the same command again")
    if not isinstance(entries, dict):
        raise damaged
    for key, entry in entries.items():
        if not is_entry(key, entry):
            raise damaged
    return entries


def read_facts(folder: RunFolder) -> Facts:
    """Return what metrics.json says of the run.

    An older simssl wrote nothing of it. Then `family` is None, and `roles` and `about` are empty.
    """
    return facts_in(read_json(folder.metrics) or {})


def facts_in(document: Mapping[str, Any]) -> Facts:
    """The facts among these, but for what is not as it should be."""
    family = document.get("family")
    roles = mapping_under("roles", document)
    about = mapping_under("about", document)
    return {
        "family": family if family in FAMILIES else None,
        "roles": {name: role for name, role in roles.items() if role in ROLES},
        "about": {label: str(text) for label, text in about.items()},
    }


def mapping_under(key: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping under this key; an empty one if there is none."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def is_entry(key: str, entry: Any) -> bool:
    """True if this is a metric's entry, or that of something that was skipped."""
    if not isinstance(entry, dict):
        return False
    if "skipped" in entry:
        return isinstance(entry["skipped"], str) and "evaluator" in entry
    protocol = entry.get("protocol")
    return (
        _is_number(entry.get("value"))
        and _is_number(entry.get("held_out", 0.0))
        and isinstance(entry.get("unit"), str)
        and entry.get("better", "") in ("higher", "lower", None)
        and isinstance(protocol, dict)
        and _fits(protocol)
        and "/" in key
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= LARGEST


def measured_on(folder: RunFolder) -> set[str]:
    """The fingerprints of the run's data that the numbers in metrics.json are of. RunError if it is damaged.

    Numbers of another data set, which their evaluator names, are left out.
    """
    fingerprints = set()
    for entry in (read_metrics(folder) or {}).values():
        protocol = entry.get("protocol", {})
        fingerprint = protocol.get("data")
        if fingerprint and not protocol.get("measured_on"):
            fingerprints.add(str(fingerprint))
    return fingerprints


def _fits(protocol: Mapping[str, Any]) -> bool:
    """True if the parts of a protocol that a report reads are what they should be."""
    evaluator = protocol.get("evaluator", {})
    if not isinstance(evaluator, dict):
        return False
    texts = [evaluator.get("name")]
    texts += [protocol.get(key) for key in ("selected_on", "layer", "data", "measured_on")]
    return all(text is None or isinstance(text, str) for text in texts)


def evaluators_of(folder: RunFolder) -> list[dict[str, Any]]:
    """The evaluators that the entries of metrics.json are of, with their parameters. RunError if it is damaged."""
    evaluators: dict[str, dict[str, Any]] = {}
    for key, entry in (read_metrics(folder) or {}).items():
        made_by = _made_by(entry)
        if isinstance(made_by, dict):
            evaluators[label_of(key)] = made_by
    return list(evaluators.values())


def missing(experiment: Experiment, folder: RunFolder, in_part: bool = False) -> list[Choice]:
    """The experiment's evaluators that have not measured this run yet with their parameters.

    With `in_part`, those that skipped single metrics are among them.
    """
    entries = read_metrics(folder) or {}
    return [choice for choice in experiment.evaluators if not _measured(choice, entries, in_part)]


def _measured(choice: Choice, entries: Mapping[str, Entry], in_part: bool) -> bool:
    """True if the evaluator has entries, all made with its parameters, and with `in_part` skipped no single metric."""
    has_entries = False
    for key, entry in entries.items():
        if label_of(key) != choice.label:
            continue
        has_entries = True
        if _made_by(entry) != choice.resolved:
            return False
        if in_part and "skipped" in entry and key != choice.label:
            return False
    return has_entries


def _made_by(entry: Entry) -> Any:
    """The evaluator of an entry, with its parameters."""
    return entry.get("evaluator") or entry.get("protocol", {}).get("evaluator")


def label_of(key: str) -> str:
    """The label of the evaluator that a metric's key begins with: its name, or its `as`."""
    return key.split("/")[0]


def record(
    experiment: Experiment,
    folder: RunFolder,
    facts: Facts,
    entries: Mapping[str, Entry],
    label: str = "",
) -> None:
    """Write metrics.json with these entries, which replace those of the evaluator with this label, sorted by key."""
    metrics = dict(entries)
    for key, entry in (read_metrics(folder) or {}).items():
        if label_of(key) != label:
            metrics.setdefault(key, entry)
    document = {
        "schema": SCHEMA,
        "experiment": experiment.name,
        "objective": experiment.objective.name,
        "seed": experiment.seed,
        **facts,
        "metrics": dict(sorted(metrics.items())),
    }
    write_json(folder.metrics, document)

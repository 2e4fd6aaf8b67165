"""The entries of metrics.json that an evaluator's result becomes: each number with the protocol that made it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from simssl.api import Metric, Result
from simssl.errors import RunError
from simssl.evaluation.other_data import Other, brought_over, shape_of
from simssl.experiment.model import Choice
from simssl.store.metrics import Entry
from simssl.training.build import BuiltRun


def entries_of(choice: Choice, result: Result, run: BuiltRun, built: BuiltRun, other: Other | None) -> dict[str, Entry]:
    """The entries of a result, skipped metrics among them. The images are those of `run`.

    RunError if a value is no finite number, or a protocol no JSON.
    """
    common = {
        "evaluator": choice.resolved,
        "data": run.data.fingerprint,
        **result.protocol,
    }
    entries: dict[str, Entry] = {}
    for name, metric in result.metrics.items():
        protocol = common | _of_other(name, other) | dict(metric.protocol)
        if choice.elsewhere:
            protocol = _of_elsewhere(choice.elsewhere, name, run, built) | protocol
        entries[f"{choice.label}/{name}"] = _entry(metric, protocol)
    for key, entry in entries.items():
        _check_entry(choice, key, entry)
    for name, reason in result.skipped.items():
        entries[f"{choice.label}/{name}"] = skipped_entry(choice, reason)
    return entries


def skipped_entry(choice: Choice, reason: str) -> Entry:
    """The entry of an evaluator, or of one of its metrics, that was skipped."""
    return {"skipped": reason, "evaluator": choice.resolved}


def _entry(metric: Metric, protocol: Mapping[str, Any]) -> Entry:
    """The entry of a number. What was not measured on held-out images has no word of them."""
    entry: dict[str, Any] = {
        "value": float(metric.value),
        "unit": metric.unit,
        "better": metric.better,
        "protocol": protocol,
    }
    if metric.held_out is not None:
        entry["held_out"] = float(metric.held_out)
    return entry


def _of_other(metric: str, other: Other | None) -> dict[str, Any]:
    """What a protocol says of the data set beside the run's own, if the metric is one of its images."""
    if other is None or not metric.startswith(f"{other.name}/"):
        return {}
    return {"other data": other.fingerprint}


def _of_elsewhere(dataset: Choice, metric: str, run: BuiltRun, built: BuiltRun) -> dict[str, Any]:
    """What a protocol says of the data set in place of the run's own, and the role that its target has there."""
    told: dict[str, Any] = {"measured_on": dataset.name}
    images = brought_over(shape_of(run.data), shape_of(built.data))
    if images:
        told["images brought over"] = images
    *parts, _ = metric.split("/")
    targets = [part for part in parts if part in run.data.train.targets]
    if targets:
        told["role"] = run.data.train.targets[targets[0]].role
    return told


def _check_entry(choice: Choice, key: str, entry: Entry) -> None:
    """Raise RunError if a number is not finite, or the entry no JSON."""
    for name in ("value", "held_out"):
        number = entry.get(name, 0.0)
        if not math.isfinite(number):
            raise RunError(f"evaluator '{choice.label}' found {number} for {key}, which is no number to keep")
    try:
        json.dumps(entry, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RunError(f"evaluator '{choice.label}': the protocol of {key} is not JSON ({error})") from error

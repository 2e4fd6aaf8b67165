"""Evaluators measure a trained run: `metrics.json`, pictures, and what was skipped and why."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from simssl.api import NEEDS, Data, Evaluator, Result
from simssl.errors import RunError, SimsslError, UserError
from simssl.experiment.config import Choice, Experiment
from simssl.measurement.subject import FrozenSubject
from simssl.registry import Registry
from simssl.training.assemble import Assembly, derive_seed, seed_everything
from simssl.training.folder import RunFolder, read_json, write_json, write_whole
from simssl.training.trackers import Trackers

SCHEMA = 1
"""Of metrics.json."""

Entry = dict[str, Any]
"""value, unit, better and protocol of a metric; or skipped and evaluator."""


def missing(experiment: Experiment, folder: RunFolder) -> list[Choice]:
    """The experiment's evaluators that have not measured this run yet with these parameters."""
    entries = (read_json(folder.metrics) or {}).get("metrics", {})
    return [choice for choice in experiment.evaluators if not _measured(choice, entries)]


def _measured(choice: Choice, entries: Mapping[str, Entry]) -> bool:
    own = [entry for key, entry in entries.items() if _belongs(key, choice.label)]
    made_by = [entry.get("evaluator") or entry["protocol"]["evaluator"] for entry in own]
    return bool(own) and all(evaluator == choice.resolved for evaluator in made_by)


def _belongs(key: str, label: str) -> bool:
    return key.split("/")[0] == label


def build(choice: Choice, registry: Registry, data: Data) -> Evaluator:
    """The evaluator; UserError, before anything is trained, if it does not fit the data."""
    evaluator: Evaluator = registry.load(choice.kind, choice.name)(choice.params)
    unknown = evaluator.needs - NEEDS
    if unknown:
        known = ", ".join(sorted(NEEDS))
        raise UserError(f"evaluator '{choice.name}' needs {', '.join(sorted(unknown))}; known are {known}")
    try:
        evaluator.check(data)
    except ValueError as error:
        raise UserError(f"evaluator '{choice.label}': {error}") from error
    return evaluator


def evaluate(
    assembly: Assembly, folder: RunFolder, choices: Iterable[Choice], registry: Registry, trackers: Trackers
) -> None:
    """Run each evaluator on the trained model, adding to metrics.json after each."""
    if not folder.metrics.exists():
        _record(assembly.experiment, folder, {})
    for choice in choices:
        evaluator = build(choice, registry, assembly.data)
        reason = why_skipped(evaluator, assembly)
        if reason is not None:
            entries = {choice.label: {"skipped": reason, "evaluator": choice.resolved}}
            _record(assembly.experiment, folder, entries, choice.label)
            continue
        subject = FrozenSubject(assembly, folder, choice.name)
        result = _run(choice, evaluator, subject, assembly)
        for name, picture in result.images.items():
            _save_picture(folder, f"{choice.label}-{name}.png", picture)
        _record(assembly.experiment, folder, _entries(choice, result, assembly.data), choice.label)
        trackers.evaluated(result, subject)


def _run(choice: Choice, evaluator: Evaluator, subject: FrozenSubject, assembly: Assembly) -> Result:
    seed_everything(derive_seed(assembly.experiment.seed, "weights of evaluator", choice.name))
    try:
        with torch.no_grad():
            result = evaluator.run(subject)
    except SimsslError:
        raise
    except Exception as error:
        raise RunError(f"evaluator '{choice.label}' failed ({type(error).__name__}: {error})") from error
    for name, metric in result.metrics.items():
        if not math.isfinite(metric.value):
            raise RunError(f"evaluator '{choice.label}' found {metric.value} for {name}, which is no number to keep")
    return replace(result, evaluator=choice.label)


def why_skipped(evaluator: Evaluator, assembly: Assembly) -> str | None:
    """Why the evaluator does not apply to the run, or None. Known before training."""
    objective, data, name = assembly.objective, assembly.data, assembly.experiment.objective.name
    lacks = {
        "test": None if data.test is not None else "the data set has no test split",
        "labels": None if any(t.classes for t in data.train.targets.values()) else "the data set has no labels",
        "views": None if assembly.views.random else "the views do not vary",
        "decoder": None if objective.decodes else f"{name} has no decoder",
        "variance": None if "variance" not in evaluator.needs or _has_variance(assembly) else f"{name} has no variance",
    }
    return next((reason for need in sorted(evaluator.needs) if (reason := lacks[need])), None)


@torch.no_grad()
def _has_variance(assembly: Assembly) -> bool:
    assembly.objective.eval()
    x_1CHW = assembly.views.plain(assembly.data.train.images[:1].to(assembly.device))
    return assembly.objective.posterior(x_1CHW).variance is not None


def _entries(choice: Choice, result: Result, data: Data) -> dict[str, Entry]:
    common = {"evaluator": choice.resolved, "data": data.fingerprint, **result.protocol}
    return {
        f"{choice.label}/{name}": {
            "value": metric.value,
            "unit": metric.unit,
            "better": metric.better,
            "protocol": common | dict(metric.protocol),
        }
        for name, metric in result.metrics.items()
    }


def _record(experiment: Experiment, folder: RunFolder, entries: dict[str, Entry], label: str = "") -> None:
    """Put these in the place of an evaluator's entries in metrics.json; the order is that of the keys."""
    document = read_json(folder.metrics) or {}
    others = {key: entry for key, entry in document.get("metrics", {}).items() if not _belongs(key, label)}
    metrics = others | entries
    write_json(
        folder.metrics,
        {
            "schema": SCHEMA,
            "experiment": experiment.name,
            "objective": experiment.objective.name,
            "seed": experiment.seed,
            "metrics": {key: metrics[key] for key in sorted(metrics)},
        },
    )


def _save_picture(folder: RunFolder, name: str, picture_CHW: Tensor) -> None:
    pixels = picture_CHW.cpu().numpy()
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    buffer = io.BytesIO()
    image.save(buffer, format="png")
    write_whole(folder.images / name, buffer.getvalue())

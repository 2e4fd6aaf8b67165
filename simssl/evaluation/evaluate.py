"""Evaluators measure a trained run: numbers, pictures, and what was skipped and why."""

from __future__ import annotations

import inspect
import io
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from simssl.api import NEEDS, Data, Evaluator, Result, Skip
from simssl.blocks.probes.targets import has_classes
from simssl.errors import RunError, SimsslError, UserError, code_of, line_of, one_line
from simssl.evaluation.subject import FrozenSubject
from simssl.experiment.model import Choice
from simssl.plugin.registry import Registry
from simssl.store.files import write_whole
from simssl.store.folder import RunFolder
from simssl.store.metrics import Entry, Facts, read_facts, record
from simssl.training.build import BuiltRun, building, derive_seed, seed_everything
from simssl.training.contract import check_result
from simssl.training.trackers import Trackers


def build(choice: Choice, registry: Registry, data: Data) -> Evaluator:
    """The evaluator; UserError, before anything is trained, if it does not fit the data."""
    with building(choice, registry):
        evaluator: Evaluator = registry.load(choice.kind, choice.name)(choice.params)
        evaluator.check(data)
    unknown = evaluator.needs - NEEDS
    if unknown:
        known = ", ".join(sorted(NEEDS))
        line = line_of(type(evaluator))
        raise UserError(f"evaluator '{choice.name}' needs {', '.join(sorted(unknown))}; known are {known}{line}")
    return evaluator


def evaluate(
    built: BuiltRun, folder: RunFolder, choices: Sequence[Choice], registry: Registry, trackers: Trackers
) -> None:
    """Run each evaluator on the trained model, adding to metrics.json after each."""
    described = {c.label: _doc(c, registry) for c in (*built.experiment.evaluators, *choices)}
    about = dict(sorted((read_facts(folder)["about"] | described).items()))
    facts = {**facts_of(built), "about": about}
    record(built.experiment, folder, facts, {})
    for choice in choices:
        evaluator = build(choice, registry, built.data)
        try:
            _measure(choice, evaluator, built, folder, facts, trackers)
        except Skip as skip:
            entry = {"skipped": str(skip), "evaluator": choice.resolved}
            _save_pictures(folder, choice.label, {})
            record(built.experiment, folder, facts, {choice.label: entry}, choice.label)


def facts_of(built: BuiltRun) -> Facts:
    """The method's family, and the role of each target and of each parameter that the views draw (style)."""
    objective, views = built.objective, built.views
    trained = "generative" if objective.decodes else "discriminative"
    drawn = views.style(views.draw(1, torch.Generator().manual_seed(0)))
    targets = {name: target.role for name, target in built.data.train.targets.items() if target.role}
    return {"family": trained if objective.trained else "untrained", "roles": dict.fromkeys(drawn, "style") | targets}


def _doc(choice: Choice, registry: Registry) -> str:
    """What the evaluator says of itself, for a report's readers."""
    return inspect.cleandoc(registry.load(choice.kind, choice.name).__doc__ or "")


def _measure(
    choice: Choice, evaluator: Evaluator, built: BuiltRun, folder: RunFolder, facts: Facts, trackers: Trackers
) -> None:
    reason = why_skipped(evaluator, built)
    if reason is not None:
        raise Skip(reason)
    subject = FrozenSubject(built, folder, choice.name)
    result = _run(choice, evaluator, subject, built)
    entries = _entries(choice, result, built.data)
    _save_pictures(folder, choice.label, result.images)
    record(built.experiment, folder, facts, entries, choice.label)
    trackers.evaluated(result, subject)


def _run(choice: Choice, evaluator: Evaluator, subject: FrozenSubject, built: BuiltRun) -> Result:
    seed_everything(derive_seed(built.experiment.seed, "weights of evaluator", choice.name))
    try:
        with torch.no_grad():
            result = evaluator.run(subject)
    except (SimsslError, Skip):
        raise
    except Exception as error:
        near = code_of(type(evaluator), type(built.objective))
        reason = one_line(error, near, line_of(type(evaluator)))
        raise RunError(f"evaluator '{choice.label}' failed: {reason}") from error
    check_result(evaluator, result)
    return replace(result, evaluator=choice.label)


def why_skipped(evaluator: Evaluator, built: BuiltRun) -> str | None:
    """Why the evaluator does not apply to the run, or None. Known before training."""
    objective, data, name = built.objective, built.data, built.experiment.objective.name
    lacks = {
        "test": None if data.test is not None else "the data set has no test split",
        "labels": None if any(map(has_classes, data.train.targets.values())) else "the data set has no labels",
        "views": None if built.views.random else "the views do not vary",
        "decoder": None if objective.decodes else f"{name} has no decoder",
        "no_decoder": f"{name} has a decoder of its own" if objective.decodes else None,
        "variance": None if "variance" not in evaluator.needs or _has_variance(built) else f"{name} has no variance",
    }
    return next((reason for need in sorted(evaluator.needs) if (reason := lacks[need])), None)


@torch.no_grad()
def _has_variance(built: BuiltRun) -> bool:
    built.objective.eval()
    x_1CHW = built.views.plain(built.data.train.images[:1].to(built.device))
    return built.objective.posterior(x_1CHW).variance is not None


def _entries(choice: Choice, result: Result, data: Data) -> dict[str, Entry]:
    """The entries of a result, skipped metrics among them; RunError if a value is no finite number, or a protocol no
    JSON."""
    common = {"evaluator": choice.resolved, "data": data.fingerprint, **result.protocol}
    entries: dict[str, dict[str, Any]] = {
        f"{choice.label}/{name}": {
            "value": float(metric.value),
            "unit": metric.unit,
            "better": metric.better,
            "protocol": common | dict(metric.protocol),
        }
        for name, metric in result.metrics.items()
    }
    for key, entry in entries.items():
        if not math.isfinite(entry["value"]):
            raise RunError(f"evaluator '{choice.label}' found {entry['value']} for {key}, which is no number to keep")
        try:
            json.dumps(entry, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RunError(f"evaluator '{choice.label}': the protocol of {key} is not JSON ({error})") from error
    skipped = {
        f"{choice.label}/{name}": {"skipped": reason, "evaluator": choice.resolved}
        for name, reason in result.skipped.items()
    }
    return {**entries, **skipped}


def _save_pictures(folder: RunFolder, label: str, pictures: Mapping[str, Tensor]) -> None:
    """Put these in the place of what the evaluator drew before."""
    shutil.rmtree(folder.images / label, ignore_errors=True)
    for name, picture_CHW in pictures.items():
        pixels = picture_CHW.cpu().numpy()
        image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        buffer = io.BytesIO()
        image.save(buffer, format="png")
        write_whole(folder.images / label / f"{name}.png", buffer.getvalue())

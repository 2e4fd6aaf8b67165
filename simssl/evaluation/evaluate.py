"""Evaluators measure a trained run. They give numbers and pictures, and reasons for what was skipped."""

from __future__ import annotations

import inspect
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from simssl.api import NEEDS, Data, Evaluator, Result, Skip
from simssl.blocks.files import remove_folder
from simssl.blocks.probes import has_classes
from simssl.errors import STOPS, RunError, SimsslError, UserError, code_of, lack_of_memory, line_of, one_line
from simssl.evaluation.other_data import LoadData, Other, other_data
from simssl.evaluation.subject import FrozenSubject
from simssl.experiment.model import Choice
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.store.metrics import Entry, Facts, read_facts, record
from simssl.training.build import BuiltRun, derive_seed, seed_everything
from simssl.training.contract import check_result
from simssl.training.networks import building
from simssl.training.records.trackers import Trackers


def build(choice: Choice, registry: Registry, data: Data) -> Evaluator:
    """Return the evaluator. UserError, before anything is trained, if it does not fit the data."""
    with building(choice, registry):
        plugin = registry.load(choice.kind, choice.name)
        evaluator: Evaluator = plugin(choice.params)
        evaluator.check(data)
    unknown = evaluator.needs - NEEDS
    if unknown:
        wanted = ", ".join(sorted(unknown))
        known = ", ".join(sorted(NEEDS))
        line = line_of(type(evaluator))
        raise UserError(f"evaluator '{choice.name}' needs {wanted}; known are {known}{line}")
    return evaluator


def evaluate(
    built: BuiltRun,
    folder: RunFolder,
    choices: Sequence[Choice],
    registry: Registry,
    trackers: Trackers,
    load: LoadData | None = None,
) -> None:
    """Run each evaluator on the trained model, and add its entries to metrics.json before the next one.

    `load` loads the other data set that an evaluator names. None will do where none of them does.
    """
    about = dict(read_facts(folder)["about"])
    for choice in (*built.experiment.evaluators, *choices):
        about[choice.label] = _doc(choice, registry)
    facts = dict(facts_of(built))
    facts["about"] = dict(sorted(about.items()))
    record(built.experiment, folder, facts, {})
    for choice in choices:
        evaluator = build(choice, registry, built.data)
        try:
            _measure(choice, evaluator, built, folder, facts, trackers, load)
        except Skip as skip:
            entry = skipped(choice, str(skip))
            _save_pictures(folder, choice.label, {})
            record(built.experiment, folder, facts, {choice.label: entry}, choice.label)


def facts_of(built: BuiltRun) -> Facts:
    """The method's family, and the role of each target and of each parameter that the views draw (style)."""
    objective = built.objective
    if not objective.trained:
        family = "untrained"
    elif objective.decodes:
        family = "generative"
    else:
        family = "discriminative"
    draws = built.views.draw(1, torch.Generator().manual_seed(0))
    roles: dict[str, str] = {}
    for name in built.views.style(draws):
        roles[name] = "style"
    for name, target in built.data.train.targets.items():
        if target.role:
            roles[name] = target.role
    return {"family": family, "roles": roles}


def _doc(choice: Choice, registry: Registry) -> str:
    """The docstring of the evaluator's class, for a report's readers."""
    plugin = registry.load(choice.kind, choice.name)
    return inspect.cleandoc(plugin.__doc__ or "")


def _measure(
    choice: Choice,
    evaluator: Evaluator,
    built: BuiltRun,
    folder: RunFolder,
    facts: Facts,
    trackers: Trackers,
    load: LoadData | None,
) -> None:
    reason = why_skipped(evaluator, built)
    if reason is not None:
        raise Skip(reason)
    other = other_data(choice, built, load) if load else None
    subject = FrozenSubject(built, folder, choice.name, other)
    try:
        result = run_evaluator(choice, evaluator, subject, built)
        entries = entries_of(choice, result, built.data, other)
        _save_pictures(folder, choice.label, result.images)
        record(built.experiment, folder, facts, entries, choice.label)
        trackers.evaluated(result, subject)
    finally:
        subject.release()


def run_evaluator(choice: Choice, evaluator: Evaluator, subject: FrozenSubject, built: BuiltRun) -> Result:
    """Return what the evaluator measures, under its label. RunError says what a plugin has raised."""
    seed = derive_seed(built.experiment.seed, "weights of evaluator", choice.name)
    seed_everything(seed)
    try:
        with torch.no_grad():
            result = evaluator.run(subject)
    except (SimsslError, Skip, *STOPS):
        raise
    except BaseException as error:
        near = code_of(type(evaluator), type(built.objective))
        reason = _without_memory(error, built) or one_line(error, near, line_of(type(evaluator)))
        raise RunError(f"evaluator '{choice.label}' failed: {reason}") from error
    check_result(evaluator, result)
    return replace(result, evaluator=choice.label)


def _without_memory(error: BaseException, built: BuiltRun) -> str | None:
    """The words for memory that did not suffice, with what to change; None for all other errors."""
    lack = lack_of_memory(error)
    if lack is None:
        return None
    elsewhere = "" if built.device.type == "cpu" else ", or measure it on the CPU (`simssl evaluate ... --device cpu`)"
    return f"{lack}; let fewer runs work at a time (--jobs){elsewhere}"


def why_skipped(evaluator: Evaluator, built: BuiltRun) -> str | None:
    """The reason why the evaluator does not apply to the run, or None. It is known before training."""
    name = built.experiment.objective.name
    lacks: dict[str, str | None] = dict.fromkeys(NEEDS)
    if built.data.test is None:
        lacks["test"] = "the data set has no test split"
    targets = built.data.train.targets.values()
    if not any(map(has_classes, targets)):
        lacks["labels"] = "the data set has no labels"
    if not built.views.random:
        lacks["views"] = "the views do not vary"
        if built.experiment.positives is None:
            lacks["views_or_groups"] = lacks["views"]
    if not built.has_new_decoder:
        lacks["new_decoder"] = f"the backbone '{built.experiment.backbone.name}' has no decoder"
    if built.objective.decodes:
        lacks["no_decoder"] = f"{name} has a decoder of its own"
    else:
        lacks["decoder"] = f"{name} has no decoder"
    if not built.objective.encodes_modalities:
        lacks["modality"] = f"{name} learns from no modality"
    if not built.objective.infers_modalities:
        lacks["modality_posterior"] = f"{name} has no posterior of a modality"
    if "variance" in evaluator.needs and not _has_variance(built):
        lacks["variance"] = f"{name} has no variance"
    for need in sorted(evaluator.needs):
        reason = lacks[need]
        if reason:
            return reason
    return None


@torch.no_grad()
def _has_variance(built: BuiltRun) -> bool:
    built.objective.eval()
    image_1CHW = built.data.train.images[:1]
    x_1CHW = built.views.plain(image_1CHW.to(built.device))
    posterior = built.objective.posterior(x_1CHW)
    return posterior.variance is not None


def entries_of(choice: Choice, result: Result, data: Data, other: Other | None) -> dict[str, Entry]:
    """The entries of a result, skipped metrics among them.

    RunError if a value is no finite number, or a protocol no JSON.
    """
    common = {
        "evaluator": choice.resolved,
        "data": data.fingerprint,
        **result.protocol,
    }
    entries: dict[str, Any] = {}
    for name, metric in result.metrics.items():
        entries[f"{choice.label}/{name}"] = {
            "value": float(metric.value),
            "unit": metric.unit,
            "better": metric.better,
            "protocol": common | _of_other(name, other) | dict(metric.protocol),
        }
        if metric.held_out is not None:
            entries[f"{choice.label}/{name}"]["held_out"] = float(metric.held_out)
    for key, entry in entries.items():
        _check_entry(choice, key, entry)
    for name, reason in result.skipped.items():
        entries[f"{choice.label}/{name}"] = skipped(choice, reason)
    return entries


def skipped(choice: Choice, reason: str) -> Entry:
    """The entry of an evaluator, or of one of its metrics, that was skipped."""
    return {"skipped": reason, "evaluator": choice.resolved}


def _of_other(metric: str, other: Other | None) -> dict[str, Any]:
    """What a protocol says of the other data set, if the metric is one of its images."""
    if other is None or not metric.startswith(f"{other.name}/"):
        return {}
    return {"other data": other.fingerprint}


def _check_entry(choice: Choice, key: str, entry: Entry) -> None:
    """Raise RunError if the value is no finite number, or the entry no JSON."""
    for value in (entry["value"], entry.get("held_out", 0.0)):
        if not math.isfinite(value):
            raise RunError(f"evaluator '{choice.label}' found {value} for {key}, which is no number to keep")
    try:
        json.dumps(entry, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RunError(f"evaluator '{choice.label}': the protocol of {key} is not JSON ({error})") from error


def _save_pictures(folder: RunFolder, label: str, pictures: Mapping[str, Tensor]) -> None:
    """Write the evaluator's pictures; those that it drew before are deleted."""
    of_evaluator = folder.images / label
    remove_folder(of_evaluator, folder.path)
    for name, picture_CHW in pictures.items():
        pixels_CHW = picture_CHW.cpu().numpy()
        is_grey = len(pixels_CHW) == 1
        pixels = pixels_CHW[0] if is_grey else pixels_CHW.transpose(1, 2, 0)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="png")
        folder.write(of_evaluator / f"{name}.png", buffer.getvalue())

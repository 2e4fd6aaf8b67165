"""Evaluators measure a trained run. They give numbers and pictures, and reasons for what was skipped."""

from __future__ import annotations

import inspect
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from simssl.api import NEEDS, Data, Evaluator, Result, Skip
from simssl.blocks.files import remove_folder
from simssl.blocks.probes import has_classes
from simssl.errors import STOPS, RunError, SimsslError, UserError, code_of, lack_of_memory, line_of, one_line
from simssl.evaluation.entries import entries_of, skipped_entry
from simssl.evaluation.other_data import Fitted, LoadData, check_other, other_data, run_on, shared_in
from simssl.evaluation.subject import FrozenSubject
from simssl.experiment.model import Choice
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.store.metrics import Facts, read_facts, record
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


def check_choice(choice: Choice, built: BuiltRun, registry: Registry, load: LoadData) -> str | None:
    """Check an evaluator of a run before it measures, and return why it will be skipped; None if it will not.

    UserError if it does not fit, or if another data set that it names cannot be had.
    """
    run = run_on(choice, built, load)
    evaluator = build(choice, registry, run.data)
    reason = why_skipped(evaluator, run)
    if reason is None:
        check_other(choice, built, load)
    return reason


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
    measuring = _Measuring(built, folder, facts, trackers, load, Fitted(built))
    for choice in choices:
        run = run_on(choice, built, load)
        evaluator = build(choice, registry, run.data)
        try:
            measuring.measure(choice, evaluator, run)
        except Skip as skip:
            measuring.skipped(choice, str(skip))


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


@dataclass(frozen=True)
class _Measuring:
    """What the evaluators of a run have in common."""

    built: BuiltRun
    folder: RunFolder
    facts: Facts
    trackers: Trackers
    load: LoadData | None
    fitted: Fitted

    def measure(self, choice: Choice, evaluator: Evaluator, run: BuiltRun) -> None:
        """Measure the data of `run`, which is the run itself, or the run on another data set.

        Skip if the evaluator does not apply to it.
        """
        built, folder = self.built, self.folder
        require_applying(evaluator, run)
        other = other_data(choice, built, self.load) if self.load else None
        fitted = self.fitted.run(choice, run)
        subject = FrozenSubject(fitted, folder, choice.name, other, elsewhere=run is not built)
        try:
            result = run_evaluator(choice, evaluator, subject, built)
            entries = entries_of(choice, result, run, built, other)
            _save_pictures(folder, choice.label, result.images)
            record(built.experiment, folder, self.facts, entries, choice.label)
            of_own_data = subject if run is built else FrozenSubject(built, folder, choice.name)
            self.trackers.evaluated(result, of_own_data)
        finally:
            subject.release()

    def skipped(self, choice: Choice, reason: str) -> None:
        """Record that an evaluator does not apply."""
        _save_pictures(self.folder, choice.label, {})
        entries = {choice.label: skipped_entry(choice, reason)}
        record(self.built.experiment, self.folder, self.facts, entries, choice.label)


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
    """The reason why the evaluator does not apply to the run and its data, or None. It is known before training."""
    name = built.experiment.objective.name
    lacks: dict[str, str | None] = dict.fromkeys(NEEDS)
    if built.data.test is None:
        lacks["test"] = "the data set has no test split"
    targets = built.data.train.targets.values()
    if not any(map(has_classes, targets)):
        lacks["labels"] = "the data set has no labels"
    if not built.views.random:
        without_each = " but by 'each', and evaluators draw them without it" if built.views.each else ""
        lacks["views"] = f"the views do not vary{without_each}"
        if not shared_in(built):
            lacks["views_or_groups"] = lacks["views"]
    if not built.has_new_decoder:
        lacks["new_decoder"] = f"the backbone '{built.experiment.backbone.name}' has no decoder"
    if built.objective.decodes:
        lacks["no_decoder"] = f"{name} has a decoder of its own"
    else:
        lacks["decoder"] = f"{name} has no decoder"
    if not built.objective.encodes_modalities:
        lacks["modality"] = f"{name} learns from no modality"
    elif not set(built.objective.modalities) & set(built.data.train.modalities):
        unknown = f"the data set has none of the modalities that {name} learned from"
        lacks["modality"] = lacks["modality_posterior"] = unknown
    if not built.objective.infers_modalities:
        lacks["modality_posterior"] = f"{name} has no posterior of a modality"
    if "variance" in evaluator.needs and not _has_variance(built):
        lacks["variance"] = f"{name} has no variance"
    for need in sorted(evaluator.needs):
        reason = lacks[need]
        if reason:
            return reason
    return None


def require_applying(evaluator: Evaluator, built: BuiltRun) -> None:
    """Raise Skip if the evaluator does not apply to the run and its data."""
    reason = why_skipped(evaluator, built)
    if reason is not None:
        raise Skip(reason)


@torch.no_grad()
def _has_variance(built: BuiltRun) -> bool:
    built.objective.eval()
    x_1CHW = torch.zeros(1, *built.views.shape, device=built.device)
    posterior = built.objective.posterior(x_1CHW)
    return posterior.variance is not None


def _save_pictures(folder: RunFolder, label: str, pictures: Mapping[str, Tensor]) -> None:
    """Write the evaluator's pictures; those that it drew before are deleted."""
    of_evaluator = folder.pictures(label)
    remove_folder(of_evaluator, folder.path)
    for name, picture_CHW in pictures.items():
        pixels_CHW = picture_CHW.cpu().numpy()
        is_grey = len(pixels_CHW) == 1
        pixels = pixels_CHW[0] if is_grey else pixels_CHW.transpose(1, 2, 0)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="png")
        folder.write(of_evaluator / f"{name}.png", buffer.getvalue())

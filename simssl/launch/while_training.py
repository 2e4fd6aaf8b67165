"""What a run measures while it is trained: written to its history, told to its trackers, and what it selects by."""

from __future__ import annotations

from collections.abc import Mapping

from simssl.api import Result
from simssl.errors import UserError
from simssl.evaluation.evaluate import check_choice
from simssl.evaluation.while_training import measure
from simssl.experiment.model import Choice, Experiment, Selector
from simssl.experiment.settings import Moments
from simssl.launch.status.progress import ProgressTracker
from simssl.launch.workspace import Workspace
from simssl.store.folder import RunFolder
from simssl.store.history import Moment, add_moment
from simssl.store.metrics import Entry
from simssl.training.build import BuiltRun
from simssl.training.records.trackers import Trackers


class WhileTraining:
    """Measures a run after a step of its training. Calling it returns the number by which the run selects."""

    def __init__(
        self, built: BuiltRun, folder: RunFolder, workspace: Workspace, trackers: Trackers, progress: ProgressTracker
    ) -> None:
        self._built = built
        self._folder = folder
        self._workspace = workspace
        self._trackers = trackers
        self._progress = progress
        experiment = built.experiment
        self._measured_after = self._steps_of(experiment.measure.moments if experiment.measure else None)
        self._selects_after = self._steps_of(experiment.selection.settings if experiment.selection else None)

    def __call__(self, step: int) -> float | None:
        """Measure it, and return the number, higher being better; None if it selects by nothing after this step.

        UserError if the number is not there.
        """
        with self._progress.measuring():
            results, entries = self._measure(self._choices(step))
        add_moment(self._folder, Moment(step, step * self._built.views_per_step, entries))
        for result in results:
            self._trackers.measured(step, result)
        selector = self._built.experiment.selection
        if selector is None or step not in self._selects_after:
            return None
        number = selecting_number(selector, entries)
        return number if step else None

    def _measure(self, choices: list[Choice]) -> tuple[list[Result], dict[str, Entry]]:
        results: list[Result] = []
        entries: dict[str, Entry] = {}
        workspace = self._workspace
        for result, its_own in measure(self._built, self._folder, choices, workspace.registry, workspace.load_data):
            entries |= its_own
            if result is not None:
                results.append(result)
        return results, entries

    def _choices(self, step: int) -> list[Choice]:
        """The evaluators whose time has come, each once."""
        experiment = self._built.experiment
        choices: dict[str, Choice] = {}
        if experiment.measure and step in self._measured_after:
            choices |= {choice.label: choice for choice in experiment.measure.evaluators}
        if experiment.selection and step in self._selects_after:
            chosen = experiment.selection.evaluator
            choices[chosen.label] = chosen
        return list(choices.values())

    def _steps_of(self, moments: Moments | None) -> frozenset[int]:
        """The steps after which a section measures; none of a section that is not there."""
        if moments is None:
            return frozenset()
        return frozenset(moments.steps(self._built.steps, self._built.views_per_step))


def tell_of_measure(experiment: Experiment, folder: RunFolder, workspace: Workspace) -> None:
    """Say of a trained run that what its file measures in training comes too late, unless it was measured then."""
    objective = workspace.registry.load("objective", experiment.objective.name)
    if experiment.measure and objective.trained and not folder.history.exists():
        workspace.say("  is trained already, and was not measured meanwhile; --fresh trains it anew, measuring")


def selecting_number(selector: Selector, entries: Mapping[str, Entry]) -> float:
    """Return the number on held-out images by which a run selects, higher being better.

    UserError if it was not measured, or no direction is better.
    """
    label, metric = selector.evaluator.label, selector.settings.metric
    entry = entries.get(f"{label}/{metric}", {})
    if "held_out" in entry and entry["better"]:
        number = float(entry["held_out"])
        return number if entry["better"] == "higher" else -number
    reason = entry.get("skipped") or entries.get(label, {}).get("skipped")
    if reason:
        raise UserError(f"selection.metric is '{metric}', which {label} does not measure here: {reason}")
    there = [key.partition("/")[2] for key, other in entries.items() if "held_out" in other and other["better"]]
    known = ", ".join(there) or "none"
    raise UserError(f"selection.metric is '{metric}', and by {label} a run can select by these alone: {known}")


def check_while_training(
    experiment: Experiment, built: BuiltRun, workspace: Workspace, skipped: dict[str, None]
) -> None:
    """Check what measures the run in training, before anything is trained. What will be skipped is added to `skipped`.

    UserError if an evaluator cannot be built, or the one that a run selects by will be skipped.
    """
    if not built.steps:
        return
    selecting = experiment.selection.evaluator if experiment.selection else None
    for choice in experiment.while_training:
        reason = check_choice(choice, built, workspace.registry, workspace.load_data)
        if reason is None:
            continue
        if selecting is not None and choice.label == selecting.label:
            raise UserError(f"selection.evaluator: {choice.label} cannot measure this run: {reason}")
        skipped[f"{choice.label} will be skipped while it trains: {reason}"] = None

"""Evaluators measure a run in training. Nothing of it is kept beside the run but the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from simssl.api import Result, Skip
from simssl.evaluation.evaluate import build, entries_of, run_evaluator, skipped, why_skipped
from simssl.evaluation.other_data import LoadData, other_data
from simssl.evaluation.subject import FrozenSubject
from simssl.experiment.model import Choice
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.store.metrics import Entry
from simssl.training.build import BuiltRun

Kept = dict[tuple[str, str, str], Tensor]
"""Features by the data's fingerprint, split and layer, for as long as the weights stay as they are."""


class SubjectInTraining(FrozenSubject):
    """A subject whose features are kept in memory, where the evaluators of one step find them."""

    kept: Kept

    def features(self, split: str, layer: str = "representation") -> Tensor:
        key = (self.data.fingerprint, split, layer)
        if split == "other":
            return super().features(split, layer)
        if key not in self.kept:
            self.kept[key] = self._encode(split, layer)
        return self.kept[key].to(self.device)


def measure(
    built: BuiltRun, folder: RunFolder, choices: Sequence[Choice], registry: Registry, load: LoadData
) -> Iterator[tuple[Result | None, dict[str, Entry]]]:
    """Yield the result of each evaluator, None if it was skipped, and its entries as in metrics.json.

    The objective is frozen by it. Its weights stay as they are.
    """
    kept: Kept = {}
    for choice in choices:
        try:
            yield _measured(choice, built, folder, registry, load, kept)
        except Skip as skip:
            yield None, {choice.label: skipped(choice, str(skip))}


def _measured(
    choice: Choice, built: BuiltRun, folder: RunFolder, registry: Registry, load: LoadData, kept: Kept
) -> tuple[Result, dict[str, Entry]]:
    evaluator = build(choice, registry, built.data)
    reason = why_skipped(evaluator, built)
    if reason is not None:
        raise Skip(reason)
    other = other_data(choice, built, load)
    subject = SubjectInTraining(built, folder, choice.name, other)
    subject.kept = kept
    try:
        result = run_evaluator(choice, evaluator, subject, built)
        return result, entries_of(choice, result, built.data, other)
    finally:
        subject.release()

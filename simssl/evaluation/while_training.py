"""Evaluators measure a run in training. Nothing of it is kept beside the run but the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from simssl.api import Result, Skip
from simssl.evaluation.entries import entries_of, skipped_entry
from simssl.evaluation.evaluate import build, require_applying, run_evaluator
from simssl.evaluation.other_data import Fitted, LoadData, other_data, run_on
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

    @contextmanager
    def keeping(self, kept: Kept) -> Iterator[SubjectInTraining]:
        """Within it, its features are those that are kept, or are added to them."""
        self.kept = kept
        try:
            yield self
        finally:
            self.release()

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
    fitted = Fitted(built)
    for choice in choices:
        run = run_on(choice, built, load)
        evaluator = build(choice, registry, run.data)
        try:
            require_applying(evaluator, run)
            other = other_data(choice, built, load)
            with SubjectInTraining(fitted.run(choice, run), folder, choice.name, other).keeping(kept) as subject:
                result = run_evaluator(choice, evaluator, subject, run)
        except Skip as skip:
            yield None, {choice.label: skipped_entry(choice, str(skip))}
        else:
            yield result, entries_of(choice, result, run, built, other)

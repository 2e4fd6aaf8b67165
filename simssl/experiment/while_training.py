"""The sections `measure` and `selection`, checked: what is measured while a method is trained, and what follows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from simssl.experiment.document import Document, ExperimentError, Problem, describe
from simssl.experiment.model import Measure, Selector
from simssl.experiment.sections import MEASURE, SELECTION, choice_at, choices_at
from simssl.experiment.settings import Moments, Selection
from simssl.experiment.validation import unknown_key, validate
from simssl.params import Params
from simssl.plugin.registry import Registry

MEASURE_EXAMPLE = "{every: 10_000, evaluators: [{name: ...}]}"
SELECTION_EXAMPLE = "{every: 10_000, evaluator: {name: ...}, metric: class/accuracy, patience: 5, keep: best}"


def measure_in(document: Document, registry: Registry) -> Measure | None:
    """The section `measure`; None if the file has none."""
    if document.tree.get(MEASURE) is None:
        return None
    own = _own_keys(document, MEASURE, "evaluators", MEASURE_EXAMPLE, Moments)
    problems: list[Problem] = []
    evaluators = choices_at(document, (MEASURE, "evaluators"), "evaluator", registry, problems)
    if not evaluators and not problems:
        problems.append(document.problem((MEASURE, "evaluators"), "'measure.evaluators' names no evaluator"))
    if problems:
        raise ExperimentError(problems)
    return Measure(validate(Moments, own, document, (MEASURE,)), evaluators)


def selection_in(document: Document, registry: Registry) -> Selector | None:
    """The section `selection`; None if the file has none."""
    if document.tree.get(SELECTION) is None:
        return None
    own = _own_keys(document, SELECTION, "evaluator", SELECTION_EXAMPLE, Selection)
    evaluator = choice_at(document, (SELECTION, "evaluator"), "evaluator", registry)
    return Selector(validate(Selection, own, document, (SELECTION,)), evaluator)


def _own_keys(document: Document, section: str, plugins: str, example: str, model: type[Params]) -> dict[str, Any]:
    """The keys of a section besides the one that names plugins, which has to be there."""
    node = document.tree[section]
    if not isinstance(node, dict):
        message = f"'{section}' is a mapping such as {example}, not {describe(node)}"
        raise ExperimentError([document.problem((section,), message)])
    _refuse_unknown(document, section, (plugins, *model.model_fields))
    if plugins not in node:
        message = f"the key '{section}.{plugins}' is missing, such as {section}: {example}"
        raise ExperimentError([document.problem((section,), message)])
    return {key: value for key, value in node.items() if key != plugins}


def _refuse_unknown(document: Document, section: str, known: Collection[str]) -> None:
    for key in document.tree[section]:
        if key not in known:
            message = unknown_key(str(key), known)
            raise ExperimentError([document.problem((section, key), message, of_key=True)])


def require_apart(measure: Measure | None, selection: Selector | None, document: Document) -> None:
    """ExperimentError if the two sections give one name to evaluators that differ."""
    if measure is None or selection is None:
        return
    label = selection.evaluator.label
    for choice in measure.evaluators:
        if choice.label == label and choice.resolved != selection.evaluator.resolved:
            message = f"'{label}' stands in 'measure' with other parameters; tell them apart with 'as: another-name'"
            raise ExperimentError([document.problem((SELECTION, "evaluator"), message)])

"""A document and the plugins' Params become checked Experiments: all errors at once, each with its position."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simssl.errors import STOPS, ContractError, code_of, line_of, one_line
from simssl.experiment.document import Document, ExperimentError, Position, Problem
from simssl.experiment.model import HASHED, Choice, Experiment, Selector, resolved_modalities
from simssl.experiment.outline import documents_of, written_in
from simssl.experiment.sections import (
    MANY,
    MEASURE,
    MODALITIES,
    ONE,
    SECTIONS,
    SELECTION,
    Sections,
    backbones_of_modalities,
    name_of,
)
from simssl.experiment.validation import unknown_key
from simssl.experiment.while_training import measure_in, require_apart, selection_in
from simssl.params import Params
from simssl.plugin.registry import Registry

ABOUT = {
    "dataset": "The data set: a plugin's name, and its parameters.",
    "backbone": "The networks, an encoder and its mirror: a plugin's name, and its parameters.",
    "objective": "The method: a plugin's name, and its parameters.",
    "modalities": "The networks of what methods learn from beside the images, such as a caption: for each modality of "
    "the data set its name, with a 'backbone' that takes it. Methods that do not name it do without.",
    "evaluators": "What is measured once the method is trained: a list of plugins, each with its parameters. Two of "
    "one name are told apart by 'as'.",
    "trackers": "What records the run: a list of plugins, each with its parameters; [{name: console}, "
    "{name: tensorboard}] if it is left out.",
    MEASURE: "What is measured while the method is trained: evaluators, and when. It changes no weight.",
    SELECTION: "An evaluator whose number on held-out images ends the training, or chooses the weights that are kept.",
    "grid": "Axes, of which the file is run once for each combination: a dotted key with a list of values, or a label "
    "of yours with a list of mappings of dotted keys.",
}
"""The meaning of the sections that name plugins, and of the grid."""


def load_experiments(
    path: Path, registry: Registry, overrides: Sequence[str] = (), seed: int | None = None
) -> list[Experiment]:
    """Return the experiments of a file, one for each combination of its grid's values.

    ExperimentError lists everything that is wrong.
    """
    problems: list[Problem] = []
    document, documents = documents_of(path, overrides, seed, problems)
    sections = Sections(registry)
    experiments = []
    for single in documents:
        experiment = _experiment(single, sections, problems)
        if experiment is not None:
            experiments.append(experiment)
    if problems:
        raise ExperimentError(problems)
    if seed is not None:  # experiments that differed in their seed alone
        by_digest = {experiment.digest: experiment for experiment in experiments}
        return list(by_digest.values())
    _refuse_twins(experiments, document)
    return experiments


def restored(resolved: Mapping[str, Any], written: Mapping[str, Any], registry: Registry) -> Experiment:
    """Return, in another process, the Experiment that has this `resolved` and `written`.

    ExperimentError if it cannot be made.
    """
    problems: list[Problem] = []
    position = Position("the resolved experiment")
    document = Document(dict(resolved), values={(): position})
    experiment = _experiment(document, Sections(registry), problems)
    if experiment is None or problems:
        raise ExperimentError(problems)
    return replace(experiment, written=written)


def _refuse_twins(experiments: Sequence[Experiment], document: Document) -> None:
    """ExperimentError if two experiments of a grid would have the same weights."""
    texts = _Texts()
    first: dict[tuple[str, ...], int] = {}
    for number, experiment in enumerate(experiments, 1):
        determining = tuple(texts.of(getattr(experiment, key)) for key in HASHED)
        same = first.setdefault(determining, number)
        if same != number:
            message = (
                f"cells {same} and {number} of the grid are the same run: they differ in nothing that determines "
                "the weights"
            )
            raise ExperimentError([document.problem(("grid",), message, of_key=True)])


class _Texts:
    """The sections of experiments as text. A section that several experiments share is written once."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def of(self, section: Choice | Selector | Params | Mapping[str, Choice] | int | None) -> str:
        if section is None or isinstance(section, int):
            return str(section)
        if isinstance(section, Mapping):
            return json.dumps(resolved_modalities(section), sort_keys=True)
        if id(section) not in self._known:
            tree = section.model_dump(mode="json") if isinstance(section, Params) else section.resolved
            self._known[id(section)] = json.dumps(tree, sort_keys=True)
        return self._known[id(section)]


def _experiment(document: Document, sections: Sections, problems: list[Problem]) -> Experiment | None:
    """The checked experiment of a document without a grid, or None with its problems appended."""
    before = len(problems)
    for key in document.tree:
        if key not in SECTIONS:
            message = unknown_key(key, (*SECTIONS, "grid"))
            problems.append(document.problem((key,), message, of_key=True))
    core = sections.core(document, problems)
    plugins: dict[str, Any] = {}
    for key in ONE:
        plugins[key] = sections.one(document, key, problems)
    plugins[MODALITIES] = sections.modalities(document, problems)
    plugins |= _while_training(document, sections, problems)
    for key in MANY:
        if key in document.tree:
            plugins[key] = sections.many(document, key, problems)
    if core is None or len(problems) > before:
        return None
    for key in MANY:
        if key not in plugins:
            plugins[key] = sections.many(document, key, problems)
    written = written_in(document, core.seed)
    experiment = Experiment(**dict(core), **plugins, written=written)
    same_batch = ("batch", id(experiment.objective), id(experiment.training), id(experiment.views))
    sections.once(same_batch, lambda: _check_batch(experiment, document, sections.registry), problems)
    same_modalities = (MODALITIES, id(experiment.objective), tuple(experiment.modalities))
    sections.once(same_modalities, lambda: _check_modalities(experiment, document, sections.registry), problems)
    return experiment


def _while_training(document: Document, sections: Sections, problems: list[Problem]) -> dict[str, Any]:
    """The sections `measure` and `selection`; None where the file has none, or something is wrong with it."""
    registry = sections.registry
    of_measure, of_selection = name_of(document, MEASURE), name_of(document, SELECTION)
    measure = sections.once(of_measure, lambda: measure_in(document, registry), problems)
    selection = sections.once(of_selection, lambda: selection_in(document, registry), problems)
    both = ("apart", of_measure, of_selection)
    sections.once(both, lambda: require_apart(measure, selection, document), problems)
    return {MEASURE: measure, SELECTION: selection}


def _check_batch(experiment: Experiment, document: Document, registry: Registry) -> None:
    """ExperimentError if a step holds not even one image (it takes batch_views // J), or the budget no step."""
    from simssl.api import views_of

    def wrong(message: str, *keys: str) -> ExperimentError:
        return ExperimentError([document.problem(keys, message)])

    chosen = experiment.objective
    objective = registry.load("objective", chosen.name)
    try:
        kinds = views_of(objective, chosen.params)
    except ContractError as error:
        raise wrong(f"{error}{line_of(objective)}", "objective", "name") from error
    except STOPS:
        raise
    except BaseException as error:
        reason = one_line(error, code_of(objective), line_of(objective))
        message = f"objective '{chosen.name}' cannot tell its views from its parameters: {reason}"
        raise wrong(message, "objective", "name") from error
    if not objective.trained:
        return
    _check_views(experiment, document, kinds)
    J = len(kinds)
    batch_views = experiment.training.batch_views
    if batch_views < J:
        message = f"'batch_views' is {batch_views}, less than the {J} views of one image"
        raise wrong(message, "training", "batch_views")
    views = experiment.training.views
    step = batch_views // J * J
    if views is not None and views < step:
        message = f"'views' is {views}, less than the {step} views of one step"
        raise wrong(message, "training", "views")


def _check_views(experiment: Experiment, document: Document, kinds: Sequence[str]) -> None:
    """ExperimentError if the section `views` does not have the views that the objective takes, or has others."""

    def wrong(message: str, *keys: str) -> ExperimentError:
        return ExperimentError([document.problem(("views", *keys), message)])

    name = experiment.objective.name
    views = experiment.views
    random = kinds.count("random")
    if views.each is not None and len(views.each) != random:
        wanted = f"an entry for each of the {random} random views of '{name}'"
        raise wrong(f"'each' must have {wanted}, not {len(views.each)}", "each")
    small = kinds.count("small")
    if small and views.small is None:
        message = f"'{name}' takes {small} small views; write small: {{size: ..., crop: {{scale: [0.05, 0.25]}}}}"
        raise wrong(message)
    if views.small is not None and not small:
        raise wrong(f"'{name}' takes no small views; leave 'small' out, or ask the method for some", "small")


def _check_modalities(experiment: Experiment, document: Document, registry: Registry) -> None:
    """ExperimentError if the objective learns from a modality for which the file has no network."""
    from simssl.api import modalities_of

    chosen = experiment.objective
    objective = registry.load("objective", chosen.name)
    for name in modalities_of(objective, chosen.params):
        if name not in experiment.modalities:
            backbones = " or ".join(backbones_of_modalities(registry)) or "..."
            message = f"objective '{chosen.name}' learns from the modality '{name}', and the file names no network for "
            message += f"it: write modalities: {{{name}: {{backbone: {{name: {backbones}}}}}}}"
            raise ExperimentError([document.problem(("objective",), message)])

"""A document and the plugins' Params become checked Experiments: all errors at once, each with its position."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simssl.errors import STOPS, ContractError, UserError, code_of, line_of, one_line
from simssl.experiment import grid
from simssl.experiment.document import Document, ExperimentError, Keys, Position, Problem, collecting, describe
from simssl.experiment.model import HASHED, LONGEST, NAME, Choice, Core, Experiment
from simssl.experiment.validation import unknown_key, validate
from simssl.experiment.yaml12 import parse_override, parse_value, read
from simssl.plugin.registry import BrokenPlugin, Registry

ONE = ("dataset", "backbone", "objective")
"""Sections that name one plugin; each is called as its kind."""
MANY = {"evaluators": "evaluator", "trackers": "tracker"}
"""Sections that list plugins, and their kind."""
ABOUT = {
    "dataset": "The data set: a plugin's name, and its parameters.",
    "backbone": "The networks, an encoder and its mirror: a plugin's name, and its parameters.",
    "objective": "The method: a plugin's name, and its parameters.",
    "evaluators": "What is measured once the method is trained: a list of plugins, each with its parameters. Two of "
    "one name are told apart by 'as'.",
    "trackers": "What records the run: a list of plugins, each with its parameters; [{name: console}, "
    "{name: tensorboard}] if it is left out.",
    "grid": "Axes, of which the file is run once for each combination: a dotted key with a list of values, or a label "
    "of yours with a list of mappings of dotted keys.",
}
"""The meaning of the sections that name plugins, and of the grid."""
DEFAULTS = {"evaluators": (), "trackers": ("console", "tensorboard")}
"""The plugins of a list that the file leaves out."""
WITHOUT_TRACKER = "; -s 'trackers=[{name: console}]' goes on without it"
SECTIONS = (*ONE, *MANY, *Core.model_fields)


def load_experiments(
    path: Path, registry: Registry, overrides: Sequence[str] = (), seed: int | None = None
) -> list[Experiment]:
    """Return the experiments of a file, one for each combination of its grid's values.

    ExperimentError lists everything that is wrong.
    """
    document = read(path)
    problems: list[Problem] = []
    overridden: list[str] = []
    for text in overrides:
        key, *_ = text.split("=")
        overridden.append(key.strip())
        with collecting(problems):
            dotted, value = parse_override(text)
            document = document.replace(dotted, value)
    if seed is not None:
        document = grid.with_seed(document, seed)
    documents = grid.expand(document, SECTIONS, overridden, problems)
    if seed is not None:  # an axis of the user's own may set seeds, too
        documents = [grid.with_seed(single, seed) for single in documents]
    experiments = []
    for single in documents:
        experiment = _experiment(single, registry, problems)
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
    experiment = _experiment(document, registry, problems)
    if experiment is None or problems:
        raise ExperimentError(problems)
    return replace(experiment, written=written)


def _refuse_twins(experiments: list[Experiment], document: Document) -> None:
    """ExperimentError if two experiments of a grid would have the same weights."""
    first: dict[str, int] = {}
    for number, experiment in enumerate(experiments, 1):
        resolved = experiment.resolved
        determining = {key: resolved[key] for key in HASHED}
        text = json.dumps(determining, sort_keys=True)
        same = first.setdefault(text, number)
        if same != number:
            message = (
                f"cells {same} and {number} of the grid are the same run: they differ in nothing that determines "
                "the weights"
            )
            raise ExperimentError([document.problem(("grid",), message, of_key=True)])


def _experiment(document: Document, registry: Registry, problems: list[Problem]) -> Experiment | None:
    """The checked experiment of a document without a grid, or None with its problems appended."""
    tree = document.tree
    before = len(problems)
    for key in tree:
        if key not in SECTIONS:
            message = unknown_key(key, (*SECTIONS, "grid"))
            problems.append(document.problem((key,), message, of_key=True))
    known = {key: tree[key] for key in tree if key in Core.model_fields}
    core: Core | None = None
    with collecting(problems):
        core = validate(Core, known, document)
    plugins: dict[str, Any] = {}
    for key in ONE:
        with collecting(problems):
            plugins[key] = _section(document, key, registry)
    for key in MANY:
        if key in tree:
            plugins[key] = _list(document, key, registry, problems)
    if core is None or len(problems) > before:
        return None
    for key, kind in MANY.items():
        if key not in tree:
            defaults = [choice(name, kind, registry) for name in DEFAULTS[key]]
            plugins[key] = tuple(defaults)
    written = {key: tree[key] for key in HASHED if key in tree}
    written["seed"] = core.seed
    experiment = Experiment(**dict(core), **plugins, written=written)
    with collecting(problems):
        _check_batch(experiment, document, registry)
    return experiment


def _check_batch(experiment: Experiment, document: Document, registry: Registry) -> None:
    """ExperimentError if a step holds not even one image (it takes batch_views // J), or the budget no step."""
    from simssl.api import views_of

    def wrong(message: str, *keys: str) -> ExperimentError:
        return ExperimentError([document.problem(keys, message)])

    chosen = experiment.objective
    objective = registry.load("objective", chosen.name)
    try:
        J = len(views_of(objective, chosen.params))
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
    batch_views = experiment.training.batch_views
    if batch_views < J:
        message = f"'batch_views' is {batch_views}, less than the {J} views of one image"
        raise wrong(message, "training", "batch_views")
    views = experiment.training.views
    step = batch_views // J * J
    if views is not None and views < step:
        message = f"'views' is {views}, less than the {step} views of one step"
        raise wrong(message, "training", "views")


def _section(document: Document, key: str, registry: Registry) -> Choice:
    """The choice of a section that names one plugin."""
    if key not in document.tree:
        example = registry.names(key)[0]
        message = f"the key '{key}' is missing, such as {key}: {{name: {example}}}"
        raise ExperimentError([document.problem((), message)])
    return _choice(document, (key,), key, registry)


def _list(document: Document, key: str, registry: Registry, problems: list[Problem]) -> tuple[Choice, ...]:
    """The choices of a section that lists plugins; what is wrong is appended to `problems`."""
    entries = document.tree[key]
    if not isinstance(entries, list):
        message = f"'{key}' is a list, such as [{{name: ...}}], not {describe(entries)}"
        problems.append(document.problem((key,), message))
        return ()
    kind = MANY[key]
    choices: dict[str, Choice] = {}
    for i in range(len(entries)):
        with collecting(problems):
            chosen = _choice(document, (key, i), kind, registry)
            if chosen.label in choices:
                message = f"'{chosen.label}' stands in '{key}' twice; tell them apart with 'as: another-name'"
                raise ExperimentError([document.problem((key, i), message)])
            choices[chosen.label] = chosen
    return tuple(choices.values())


def _choice(document: Document, path: Keys, kind: str, registry: Registry) -> Choice:
    """The plugin named at `path`, with its parameters."""
    node = document.sub(path).tree

    def wrong(message: str, *keys: str) -> ExperimentError:
        here = (*path, *keys)
        return ExperimentError([document.problem(here, message)])

    if not isinstance(node, dict):
        example = node if isinstance(node, str) else "..."
        raise wrong(f"the {kind} is a mapping such as {{name: {example}}}, not {describe(node)}")
    name = node.get("name")
    if not isinstance(name, str):
        names = ", ".join(registry.names(kind))
        raise wrong(f"the {kind} needs a 'name': {names}", "name")
    alias = node.get("as")
    if "as" in node and not (kind == "evaluator" and _is_name(alias)):
        raise wrong(f"'as' gives an evaluator another name: at most {LONGEST} letters, digits, '_', '.' and '-'", "as")
    try:
        plugin = registry.load(kind, name)
    except UserError as error:
        way_out = WITHOUT_TRACKER if kind == "tracker" and isinstance(error, BrokenPlugin) else ""
        raise wrong(f"{error}{way_out}", "name") from error
    given = {key: node[key] for key in node if key not in ("name", "as")}
    params = validate(plugin.Params, given, document, path)
    return Choice(kind, name, params, alias)


def _is_name(alias: Any) -> bool:
    return isinstance(alias, str) and len(alias) <= LONGEST and re.fullmatch(NAME, alias) is not None


def choice(text: str, kind: str, registry: Registry) -> Choice:
    """Return the plugin that an option names: a name, or a mapping such as '{name: knn, k: 20}'."""
    document = parse_value(text, f"'{text}'")
    if isinstance(document.tree, str):
        document = Document({"name": document.tree}, values=document.values)
    return _choice(document, (), kind, registry)

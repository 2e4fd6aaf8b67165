"""A document and the plugins' Params become checked Experiments: all errors at once, each with its place."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field

from simssl.errors import UserError
from simssl.experiment import grid
from simssl.experiment.document import Document, ExperimentError, Keys, Place, Problem, describe
from simssl.experiment.params import Params
from simssl.experiment.settings import Training, ViewSettings
from simssl.experiment.validation import unknown_key, validate
from simssl.experiment.yaml12 import parse_override, read
from simssl.registry import Registry

T = TypeVar("T")

SCHEMA = 1
"""Raised whenever the same file would give other weights."""

HASHED = ("dataset", "views", "backbone", "latent_dim", "objective", "training", "seed")
"""What determines the weights."""

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


class Core(Params):
    """The keys of an experiment that name no plugin."""

    name: str = Field(pattern=f"^{NAME}$", max_length=100)
    "Of the experiment, and of its folder below the runs; letters, digits, '_', '.' and '-'."
    views: ViewSettings = ViewSettings()
    "How views are drawn from images."
    latent_dim: Annotated[int, Field(ge=1)]
    "Dimensions of the representation."
    training: Training
    "Budget, batch, precision and optimiser."
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    "Of everything random: initial weights, order, views, noise, evaluators."


ONE = {"dataset": "dataset", "backbone": "backbone", "objective": "objective"}
"""Sections that name one plugin, and its kind."""
MANY = {"evaluators": "evaluator", "trackers": "tracker"}
"""Sections that list plugins, and their kind."""
DEFAULTS = {"evaluators": (), "trackers": ("console", "tensorboard")}
"""What stands in a list that the file leaves out."""
SECTIONS = (*ONE, *MANY, *Core.model_fields)


@dataclass(frozen=True)
class Choice:
    """A plugin that the experiment names, with its parameters."""

    kind: str
    name: str
    params: Params
    alias: str | None = None

    @property
    def label(self) -> str:
        return self.alias or self.name

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """As it could stand in the file, with every default filled in."""
        alias = {"as": self.alias} if self.alias else {}
        return {"name": self.name, **alias, **self.params.model_dump(mode="json")}


@dataclass(frozen=True)
class Experiment:
    """One run, checked: a cell of the grid."""

    name: str
    dataset: Choice
    views: ViewSettings
    backbone: Choice
    latent_dim: int
    objective: Choice
    training: Training
    evaluators: tuple[Choice, ...]
    trackers: tuple[Choice, ...]
    seed: int
    written: Mapping[str, Any]
    """What determines the weights, as the user wrote it."""

    @cached_property
    def digest(self) -> str:
        """Identifies the weights: a hash of what determines them, as written, and of the schema number."""
        text = json.dumps({"schema": SCHEMA, **self.written}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """The run's folder, below the runs."""
        return Path(self.name) / f"{self.objective.name}-seed{self.seed}-{self.digest[:8]}"

    @property
    def choices(self) -> tuple[Choice, ...]:
        return (self.dataset, self.backbone, self.objective, *self.evaluators, *self.trackers)

    @property
    def resolved(self) -> dict[str, Any]:
        """The experiment as a file could give it, with every default filled in."""
        return {
            "name": self.name,
            "dataset": self.dataset.resolved,
            "views": self.views.model_dump(mode="json"),
            "backbone": self.backbone.resolved,
            "latent_dim": self.latent_dim,
            "objective": self.objective.resolved,
            "training": self.training.model_dump(mode="json"),
            "evaluators": [choice.resolved for choice in self.evaluators],
            "trackers": [choice.resolved for choice in self.trackers],
            "seed": self.seed,
        }


def load(path: Path, registry: Registry, overrides: Iterable[str] = (), seed: int | None = None) -> list[Experiment]:
    """The runs of an experiment file, one a cell of its grid; ExperimentError lists everything that is wrong."""
    document = read(path)
    problems: list[Problem] = []
    for text in overrides:
        document = _collect(problems, partial(_override, document, text)) or document
    if seed is not None:
        document = grid.with_seed(document, seed)
    cells = grid.cells(document, SECTIONS, problems)
    if seed is not None:
        cells = [grid.with_seed(cell, seed) for cell in cells]
    experiments = [_experiment(cell, registry, problems) for cell in cells]
    if problems:
        raise ExperimentError(problems)
    checked = [experiment for experiment in experiments if experiment is not None]
    _refuse_twins(checked, document)
    return checked


def _override(document: Document, text: str) -> Document:
    return document.replace(*parse_override(text))


def _collect(problems: list[Problem], make: Callable[[], T]) -> T | None:
    """What `make` returns, or None with its problems appended."""
    try:
        return make()
    except ExperimentError as error:
        problems += error.problems
        return None


def _refuse_twins(cells: list[Experiment], document: Document) -> None:
    first: dict[Path, int] = {}
    for number, cell in enumerate(cells, 1):
        same = first.setdefault(cell.folder, number)
        if same != number:
            message = (
                f"cells {same} and {number} of the grid are the same run: they differ in nothing that determines "
                "the weights"
            )
            raise ExperimentError([Problem(document.place(("grid",), of_key=True), message)])


def _experiment(document: Document, registry: Registry, problems: list[Problem]) -> Experiment | None:
    """The checked cell, or None with its problems appended."""
    before, tree = len(problems), document.tree
    problems += [
        Problem(document.place((key,), of_key=True), unknown_key(key, (*SECTIONS, "grid")))
        for key in tree
        if key not in SECTIONS
    ]
    known = {key: value for key, value in tree.items() if key in Core.model_fields}
    core = _collect(problems, partial(validate, Core, known, document))
    one = {key: _collect(problems, partial(_section, document, key, registry)) for key in ONE}
    many = {key: _list(document, key, registry, problems) for key in MANY if key in tree}
    if core is None or len(problems) > before:
        return None
    defaults = {key: tuple(choice(name, MANY[key], registry) for name in DEFAULTS[key]) for key in MANY}
    written = {key: tree[key] for key in HASHED if key in tree} | {"seed": core.seed}
    experiment = Experiment(**dict(core), **one, **(defaults | many), written=written)  # type: ignore[arg-type]
    _collect(problems, partial(_check_batch, experiment, document, registry))
    return experiment


def _check_batch(experiment: Experiment, document: Document, registry: Registry) -> None:
    """A step takes batch_views // J images, and must take one."""
    from simssl.api import views_of

    objective = registry.load("objective", experiment.objective.name)
    J = len(views_of(objective, experiment.objective.params))
    if experiment.training.batch_views < J:
        message = f"'batch_views' is {experiment.training.batch_views}, less than the {J} views of one image"
        raise ExperimentError([Problem(document.place(("training", "batch_views")), message)])


def _section(document: Document, key: str, registry: Registry) -> Choice:
    if key not in document.tree:
        message = f"the key '{key}' is missing, such as {key}: {{name: {registry.names(ONE[key])[0]}}}"
        raise ExperimentError([Problem(document.place(()), message)])
    return _choice(document, (key,), ONE[key], registry)


def _list(document: Document, key: str, registry: Registry, problems: list[Problem]) -> tuple[Choice, ...]:
    entries = document.tree[key]
    if not isinstance(entries, list):
        message = f"'{key}' is a list, such as [{{name: ...}}], not {describe(entries)}"
        problems.append(Problem(document.place((key,)), message))
        return ()
    choices: dict[str, Choice] = {}
    for i in range(len(entries)):
        found = _collect(problems, partial(_choice, document, (key, i), MANY[key], registry))
        if found and found.label in choices:
            message = f"'{found.label}' stands in '{key}' twice; tell them apart with 'as: another-name'"
            problems.append(Problem(document.place((key, i)), message))
        elif found:
            choices[found.label] = found
    return tuple(choices.values())


def _choice(document: Document, path: Keys, kind: str, registry: Registry) -> Choice:
    """The plugin named at `path`, with its parameters."""
    node = document.sub(path).tree

    def wrong(message: str, *keys: str) -> ExperimentError:
        return ExperimentError([Problem(document.place((*path, *keys)), message)])

    if not isinstance(node, dict):
        example = node if isinstance(node, str) else "..."
        raise wrong(f"the {kind} is a mapping such as {{name: {example}}}, not {describe(node)}")
    if not isinstance(node.get("name"), str):
        raise wrong(f"the {kind} needs a 'name': {', '.join(registry.names(kind))}", "name")
    alias = node.get("as")
    if "as" in node and not (kind == "evaluator" and isinstance(alias, str) and re.fullmatch(NAME, alias)):
        raise wrong("'as' gives an evaluator another name: letters, digits, '_', '.' and '-'", "as")
    try:
        plugin = registry.load(kind, node["name"])
    except UserError as error:
        raise wrong(str(error), "name") from error
    rest = {key: value for key, value in node.items() if key not in ("name", "as")}
    return Choice(kind, node["name"], validate(plugin.Params, rest, document, path), alias)


def choice(text: str, kind: str, registry: Registry) -> Choice:
    """The plugin that an option names: a name, or a mapping such as '{name: knn, k: 20}'."""
    tree = parse_override(f"{kind}={text}")[1].tree
    tree = {"name": tree} if isinstance(tree, str) else tree
    return _choice(Document(tree, values={(): Place(f"'{text}'")}), (), kind, registry)

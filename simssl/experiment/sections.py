"""The sections of an experiment that name plugins, checked. What the runs of a grid have in common is checked once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from simssl.errors import UserError
from simssl.experiment.document import Document, ExperimentError, Keys, Problem, collecting, describe
from simssl.experiment.model import LONGEST, NAME, Choice, Core
from simssl.experiment.validation import validate
from simssl.experiment.yaml12 import parse_value
from simssl.plugin.registry import BrokenPlugin, Registry

T = TypeVar("T")

ONE = ("dataset", "backbone", "objective")
"""Sections that name one plugin; each is called as its kind."""
MANY = {"evaluators": "evaluator", "trackers": "tracker"}
"""Sections that list plugins, and their kind."""
DEFAULTS = {"evaluators": (), "trackers": ("console", "tensorboard")}
"""The plugins of a list that the file leaves out."""
CORE = tuple(Core.model_fields)
"""Sections that name no plugin."""
MODALITIES = "modalities"
"""The section that names a backbone for each modality."""
MEASURE = "measure"
"""The section that lists evaluators to measure a method with while it is trained."""
SELECTION = "selection"
"""The section that names an evaluator whose held-out number ends a training, or chooses its weights."""
SECTIONS = (*ONE, *MANY, MODALITIES, MEASURE, SELECTION, *CORE)
WITHOUT_TRACKER = "; -s 'trackers=[{name: console}]' goes on without it"


class Sections:
    """The checked sections of a file's runs. Equal ones are one object, for all runs."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._known: dict[Any, tuple[Any, list[Problem]]] = {}

    def core(self, document: Document, problems: list[Problem]) -> Core | None:
        """The keys that name no plugin; None if something is wrong with them."""
        known = {key: document.tree[key] for key in document.tree if key in CORE}
        seed = known.get("seed")
        if not is_seed(seed):
            return self.once(("core", repr(known)), lambda: validate(Core, known, document), problems)
        others = {**known, "seed": 0}
        core = self.once(("core", repr(others)), lambda: validate(Core, others, document), problems)
        return core and core.model_copy(update={"seed": seed})

    def one(self, document: Document, key: str, problems: list[Problem]) -> Choice | None:
        """The choice of a section that names one plugin; None if something is wrong with it."""
        name = name_of(document, key)
        return self.once(name, lambda: _section(document, key, self.registry), problems)

    def many(self, document: Document, key: str, problems: list[Problem]) -> tuple[Choice, ...]:
        """The choices of a section that lists plugins, or its defaults; those that are right if not all are."""
        name = name_of(document, key)
        if name not in self._known:
            its_own: list[Problem] = []
            self._known[name] = self._choices(document, key, its_own), its_own
        choices, wrong = self._known[name]
        problems += wrong
        return tuple(choices)

    def _choices(self, document: Document, key: str, problems: list[Problem]) -> tuple[Choice, ...]:
        if key in document.tree:
            return _list(document, key, self.registry, problems)
        return tuple(choice(name, MANY[key], self.registry) for name in DEFAULTS[key])

    def modalities(self, document: Document, problems: list[Problem]) -> Mapping[str, Choice]:
        """The backbones of the modalities by their names; none if something is wrong with one, or the file has none."""
        if document.tree.get(MODALITIES) is None:
            return {}
        name = name_of(document, MODALITIES)
        return self.once(name, lambda: _modalities(document, self.registry), problems) or {}

    def once(self, name: Any, check: Callable[[], T], problems: list[Problem]) -> T | None:
        """Return what `check` returned for this name; None if it raised ExperimentError. It is called once."""
        if name not in self._known:
            its_own: list[Problem] = []
            result: T | None = None
            with collecting(its_own):
                result = check()
            self._known[name] = result, its_own
        result, wrong = self._known[name]
        problems += wrong
        return result


def is_seed(value: Any) -> bool:
    """True for a whole number that is a seed as it stands."""
    return type(value) is int and 0 <= value < 2**63


def name_of(document: Document, key: str) -> tuple[Any, ...]:
    """A name for a section: equal ones at one place of the file have one name."""
    if key not in document.tree:
        return (key,)
    return key, repr(document.tree[key]), document.position((key,))


def _section(document: Document, key: str, registry: Registry) -> Choice:
    """The choice of a section that names one plugin."""
    if key not in document.tree:
        example = registry.names(key)[0]
        message = f"the key '{key}' is missing, such as {key}: {{name: {example}}}"
        raise ExperimentError([document.problem((), message)])
    chosen = choice_at(document, (key,), key, registry)
    if key == "backbone":
        takes = registry.load(key, chosen.name).input
        if takes != "image":
            message = f"the backbone '{chosen.name}' takes {takes}, and not images; it is one for a modality"
            raise ExperimentError([document.problem((key, "name"), message)])
    return chosen


def _modalities(document: Document, registry: Registry) -> dict[str, Choice]:
    """The backbones of the section `modalities`, by the modalities' names."""
    node = document.tree[MODALITIES]
    if not isinstance(node, dict) or not node:
        message = f"'{MODALITIES}' is a mapping such as {{caption: {{backbone: {{name: ...}}}}}}, not {describe(node)}"
        raise ExperimentError([document.problem((MODALITIES,), message)])
    problems: list[Problem] = []
    choices = {}
    for name in node:
        with collecting(problems):
            choices[name] = _modality(document, name, registry)
    if problems:
        raise ExperimentError(problems)
    return choices


def _modality(document: Document, name: str, registry: Registry) -> Choice:
    """The backbone of a modality. ExperimentError if it takes images."""
    path = (MODALITIES, name)

    def wrong(message: str, *keys: str, of_key: bool = False) -> ExperimentError:
        return ExperimentError([document.problem((*path, *keys), message, of_key)])

    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise wrong(f"'{name}' is no name of a modality, which has letters, digits and '_'", of_key=True)
    node = document.tree[MODALITIES][name]
    if not isinstance(node, dict) or "backbone" not in node:
        raise wrong(f"the modality is a mapping such as {{backbone: {{name: ...}}}}, not {describe(node)}")
    for key in node:
        if key != "backbone":
            raise wrong(f"unknown key '{key}'; a modality has the key 'backbone'", key, of_key=True)
    chosen = choice_at(document, (*path, "backbone"), "backbone", registry)
    if registry.load("backbone", chosen.name).input == "image":
        raise wrong(f"the backbone '{chosen.name}' takes images, and not a modality", "backbone", "name")
    return chosen


def backbones_of_modalities(registry: Registry) -> list[str]:
    """The names of the backbones that take no images; those that are broken are left out."""
    names = []
    for name in registry.names("backbone"):
        with suppress(UserError):
            if registry.load("backbone", name).input != "image":
                names.append(name)
    return names


def _list(document: Document, key: str, registry: Registry, problems: list[Problem]) -> tuple[Choice, ...]:
    """The choices of a section that lists plugins; what is wrong is appended to `problems`."""
    return choices_at(document, (key,), MANY[key], registry, problems)


def choices_at(
    document: Document, path: Keys, kind: str, registry: Registry, problems: list[Problem]
) -> tuple[Choice, ...]:
    """The choices of a list of plugins at `path`; what is wrong is appended to `problems`."""
    entries = document.sub(path).tree
    key = ".".join(map(str, path))
    if not isinstance(entries, list):
        message = f"'{key}' is a list, such as [{{name: ...}}], not {describe(entries)}"
        problems.append(document.problem(path, message))
        return ()
    choices: dict[str, Choice] = {}
    for i in range(len(entries)):
        with collecting(problems):
            chosen = choice_at(document, (*path, i), kind, registry)
            if chosen.label in choices:
                message = f"'{chosen.label}' stands in '{key}' twice; tell them apart with 'as: another-name'"
                raise ExperimentError([document.problem((*path, i), message)])
            choices[chosen.label] = chosen
    return tuple(choices.values())


def choice_at(document: Document, path: Keys, kind: str, registry: Registry) -> Choice:
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
    try:
        plugin = registry.load(kind, name)
    except UserError as error:
        way_out = WITHOUT_TRACKER if kind == "tracker" and isinstance(error, BrokenPlugin) else ""
        raise wrong(f"{error}{way_out}", "name") from error
    given = {key: node[key] for key in node if key not in ("name", "as")}
    other = None
    if takes_dataset(kind, plugin) and given.pop("dataset", None) is not None:
        other = choice_at(document, (*path, "dataset"), "dataset", registry)
    params = validate(plugin.Params, given, document, path)
    chosen = Choice(kind, name, params, dataset=other, beside=bool(other and plugin.takes_other_data))
    alias = node.get("as")
    if "as" not in node or (chosen.elsewhere and alias == chosen.label):
        return chosen
    if not (kind == "evaluator" and _is_name(alias)):
        raise wrong(f"'as' gives an evaluator another name: at most {LONGEST} letters, digits, '_', '.' and '-'", "as")
    return replace(chosen, alias=alias)


def takes_dataset(kind: str, plugin: type[Any]) -> bool:
    """True for an evaluator, whose `dataset` names another data set unless that is a parameter of its own."""
    return kind == "evaluator" and "dataset" not in plugin.Params.model_fields


def _is_name(alias: Any) -> bool:
    return isinstance(alias, str) and len(alias) <= LONGEST and re.fullmatch(NAME, alias) is not None


def choice(text: str, kind: str, registry: Registry) -> Choice:
    """Return the plugin that an option names: a name, or a mapping such as '{name: knn, k: 20}'."""
    document = parse_value(text, f"'{text}'")
    if isinstance(document.tree, str):
        document = Document({"name": document.tree}, values=document.values)
    return choice_at(document, (), kind, registry)

"""A checked experiment: its own keys, the plugins that it names, and the hash that identifies its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from simssl.experiment.settings import Moments, Positives, Selection, Training, ViewSettings
from simssl.params import Params

SCHEMA = 1
"""Raised whenever the same file would give other weights."""

HASHED = (
    "dataset",
    "positives",
    "views",
    "backbone",
    "modalities",
    "latent_dim",
    "objective",
    "training",
    "selection",
    "seed",
)
"""The sections that determine the weights."""

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
"""The names that an experiment, or an evaluator by `as`, may have."""

LONGEST = 200
"""Most characters of an evaluator's name by `as`. A folder is called so."""


class Core(Params):
    """The keys of an experiment that name no plugin."""

    name: str = Field(pattern=f"^{NAME}$", max_length=100)
    "Name of the experiment, and of its folder below the runs: letters, digits, '_', '.' and '-'."
    views: ViewSettings = ViewSettings()
    "The steps that draw a view from an image."
    positives: Positives | None = None
    "The images that the J views of an image come from; all of the image itself if it is left out."
    latent_dim: Annotated[int, Field(ge=1)]
    "Dimensions of the representation."
    training: Training
    "Budget, batch, precision and optimiser."
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    "Seed of everything random: initial weights, order, views, noise, evaluators."


@dataclass(frozen=True)
class Choice:
    """A plugin that the experiment names, with its parameters."""

    kind: str
    name: str
    params: Params
    alias: str | None = None
    dataset: Choice | None = None
    """The data set that an evaluator names."""
    beside: bool = False
    """True if the evaluator is given that data set beside the run's own, False if in its place."""

    @property
    def elsewhere(self) -> Choice | None:
        """The data set that an evaluator measures in place of the run's own; None if it measures that."""
        return None if self.beside else self.dataset

    @property
    def label(self) -> str:
        """The other name that `as` gives it; or its name, such as knn, or knn:mnist where it measures another set."""
        if self.alias:
            return self.alias
        return f"{self.name}:{self.elsewhere.name}" if self.elsewhere else self.name

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The mapping that could stand in the file, with every default filled in."""
        mapping: dict[str, Any] = {"name": self.name}
        if self.alias or self.elsewhere:
            mapping["as"] = self.label
        if self.dataset:
            mapping["dataset"] = self.dataset.resolved
        return mapping | self.params.model_dump(mode="json")


@dataclass(frozen=True)
class Measure:
    """The section `measure`: evaluators that measure a method while it is trained, and when."""

    moments: Moments
    evaluators: tuple[Choice, ...]

    @property
    def resolved(self) -> dict[str, Any]:
        """The mapping that could stand in the file, with every default filled in."""
        evaluators = [choice.resolved for choice in self.evaluators]
        return {**self.moments.model_dump(mode="json"), "evaluators": evaluators}


@dataclass(frozen=True)
class Selector:
    """The section `selection`: an evaluator, and what its number on held-out images decides."""

    settings: Selection
    evaluator: Choice

    @property
    def resolved(self) -> dict[str, Any]:
        """The mapping that could stand in the file, with every default filled in."""
        return {**self.settings.model_dump(mode="json"), "evaluator": self.evaluator.resolved}


@dataclass(frozen=True)
class Experiment:
    """One checked experiment, which one run trains: a file without a grid, or one combination of its values."""

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
    """The sections that determine the weights, as the user wrote them."""
    positives: Positives | None = None
    modalities: Mapping[str, Choice] = field(default_factory=dict)
    """The backbones of what methods learn from beside the images, by the modalities' names."""
    measure: Measure | None = None
    selection: Selector | None = None

    @cached_property
    def digest(self) -> str:
        """A hash that identifies the weights: of what determines them, as written, and of the schema number."""
        return digest_of(self.written)

    @property
    def folder(self) -> Path:
        """The run's folder, below the folder of the runs."""
        return folder_of(self.name, self.objective.name, self.seed, self.digest)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Every plugin that the experiment names."""
        networks = (self.backbone, *self.modalities.values())
        return (*self.datasets, *networks, self.objective, *self.evaluators, *self.while_training, *self.trackers)

    @property
    def while_training(self) -> tuple[Choice, ...]:
        """The evaluators that measure the method while it is trained, each once."""
        measuring = self.measure.evaluators if self.measure else ()
        selecting = (self.selection.evaluator,) if self.selection else ()
        by_label = {choice.label: choice for choice in (*measuring, *selecting)}
        return tuple(by_label.values())

    @property
    def datasets(self) -> tuple[Choice, ...]:
        """The data set, and those that evaluators are given beside it."""
        evaluators = (*self.evaluators, *self.while_training)
        others = [choice.dataset for choice in evaluators if choice.dataset]
        return (self.dataset, *others)

    @property
    def resolved(self) -> dict[str, Any]:
        """The experiment as a file could give it, with every default filled in."""
        positives = {"positives": self.positives.model_dump(mode="json")} if self.positives else {}
        modalities = {"modalities": resolved_modalities(self.modalities)} if self.modalities else {}
        measure = {"measure": self.measure.resolved} if self.measure else {}
        selection = {"selection": self.selection.resolved} if self.selection else {}
        return {
            "name": self.name,
            "dataset": self.dataset.resolved,
            **positives,
            "views": self.views.model_dump(mode="json"),
            "backbone": self.backbone.resolved,
            **modalities,
            "latent_dim": self.latent_dim,
            "objective": self.objective.resolved,
            "training": self.training.model_dump(mode="json"),
            **selection,
            **measure,
            "evaluators": [choice.resolved for choice in self.evaluators],
            "trackers": [choice.resolved for choice in self.trackers],
            "seed": self.seed,
        }


def resolved_modalities(modalities: Mapping[str, Choice]) -> dict[str, Any]:
    """Return the section `modalities` as a file could give it, with every default filled in."""
    return {name: {"backbone": backbone.resolved} for name, backbone in modalities.items()}


def digest_of(written: Mapping[str, Any]) -> str:
    """Return the hash of the sections that determine the weights, as written, and of the schema number."""
    text = json.dumps({"schema": SCHEMA, **written}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def folder_of(name: str, objective: str, seed: int, digest: str) -> Path:
    """Return a run's folder, below the folder of the runs."""
    return Path(name) / f"{objective}-seed{seed}-{digest[:8]}"

"""Runs of two methods in pairs that differ in the method alone, seed by seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

from pydantic import ValidationError

from simssl.errors import UserError
from simssl.plugin.registry import Registry
from simssl.report.runs import BUDGET, Run, settings_of

VIEWS_OF_AN_IMAGE = "objective.J"
"""The setting that says how many views of each image a method takes; of a method without it, its plugin says so."""

BATCH = "training.batch_views"
"""The setting that says how many views a step takes."""

Equal = Literal["views", "images"]
"""What a pair has been shown equally many of: in all, and in a step."""


@dataclass(frozen=True)
class Pair:
    ours: Run
    theirs: Run

    @property
    def seed(self) -> int:
        return int(self.ours.settings["seed"])


def pairs_of(ours: Sequence[Run], theirs: Sequence[Run], equal: Equal = "views") -> list[Pair]:
    """Pairs of one run of each method, in the order of ours. What has no partner is left out.

    Partners have one seed and the same data, positives, views, networks, training and selection, and agree in each
    parameter of the objective that runs of both methods have. What only one of the methods has, such as SimVAE's J and
    sigma2 beside a VAE, is its own. They were shown as many views, or as many images, in all and in each step: of J
    views of an image, a step takes batch_views // J images. The experiment's name does not count. UserError if a run
    has several partners that are not copies of one another, or if the number of its images is not known.
    """
    own = _own(ours, theirs)
    partners: dict[str, Run] = {}
    for run in theirs:
        first = partners.setdefault(_shared(run, own, equal), run)
        differing = _differing(first, run)
        if differing:
            raise UserError(f"{first.source} and {run.source} stand for one baseline and differ in {differing[0]}")
    partnered = [(run, partners.get(_shared(run, own, equal))) for run in ours]
    return [Pair(run, partner) for run, partner in partnered if partner]


def _own(ours: Sequence[Run], theirs: Sequence[Run]) -> set[str]:
    """The parameters that runs of only one of the methods have, and the methods' names."""
    keys = [{key for run in runs for key in settings_of(run)} for runs in (ours, theirs)]
    one_sided = keys[0] ^ keys[1]
    return {"objective.name", *(key for key in one_sided if key.startswith("objective."))}


def _shared(run: Run, own: set[str], equal: Equal) -> str:
    """The text that partners share."""
    apart = {*own, *BUDGET} if equal == "views" else {*own, *BUDGET, BATCH}
    settings = {key: value for key, value in settings_of(run).items() if key not in apart}
    return json.dumps([run.settings["seed"], _work(run, equal), settings], sort_keys=True)


def _work(run: Run, equal: Equal) -> list[str | int]:
    """The views that the training showed; or its images, and those of a step. It may have epochs in place of views,
    each of which shows J views of every image.
    """
    budget = "training.views" if settings_of(run).get("training.epochs") is None else "training.epochs"
    views = _count(run, budget)
    if budget == "training.epochs":
        views *= _views_of_an_image(run)
    if equal == "views":
        return [budget, views]
    J = _views_of_an_image(run)
    return [budget, str(Fraction(views, J)), _count(run, BATCH) // J]


def _count(run: Run, key: str) -> int:
    """The setting of this key; UserError if it is no number of things."""
    value = settings_of(run).get(key)
    if not isinstance(value, int) or value < 1:
        raise UserError(f"{run.source} has no whole number above 0 as {key}")
    return value


def _views_of_an_image(run: Run) -> int:
    """J, or the number of views that its method takes by its plugin. UserError if that is not known."""
    if VIEWS_OF_AN_IMAGE in settings_of(run):
        return _count(run, VIEWS_OF_AN_IMAGE)
    try:
        views = _views_by_plugin(json.dumps(run.settings["objective"], sort_keys=True))
    except ValidationError as error:
        name = run.settings["objective"]["name"]
        raise UserError(f"{run.source} has settings that are not those of {name}; run it again") from error
    if not views:
        raise UserError(f"{run.source} is not trained, so that no images were shown")
    return views


@cache
def _views_by_plugin(objective: str) -> int:
    """How many views of an image the method of these settings, a JSON text, takes."""
    from simssl.api import views_of

    params = json.loads(objective)
    plugin = Registry().load("objective", params.pop("name"))
    return len(views_of(plugin, plugin.Params(**params)))


def _differing(one: Run, other: Run) -> list[str]:
    """The settings, and the metrics that both have, in which two runs differ."""
    ours, theirs = settings_of(one), settings_of(other)
    settings = [key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)]
    both = one.metrics.keys() & other.metrics.keys()
    return sorted(settings) + sorted(key for key in both if one.metrics[key] != other.metrics[key])

"""Runs of two methods in pairs that differ in the method alone, seed by seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from simssl.errors import UserError
from simssl.report.runs import BUDGET, Run, Settings, settings_of

VIEWS_OF_AN_IMAGE = "objective.J"
"""The setting that says how many views of each image a method takes; one without it takes one view."""

Equal = Literal["views", "images"]
"""What a pair has been shown equally many of."""


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
    sigma2 beside a VAE, is its own. They were shown as many views, or as many images. The experiment's name does not
    count. UserError if a run has several partners that are not copies of one another.
    """
    own = _own(ours, theirs)
    partners: dict[str, Run] = {}
    for run in theirs:
        first = partners.setdefault(_shared(run, own, equal), run)
        differing = _differing(first, run)
        if differing:
            raise UserError(f"{first.source} and {run.source} stand for one baseline and differ in {differing[0]}")
    found = [(run, partners.get(_shared(run, own, equal))) for run in ours]
    return [Pair(run, partner) for run, partner in found if partner]


def _own(ours: Sequence[Run], theirs: Sequence[Run]) -> set[str]:
    """The parameters that runs of only one of the methods have, and the methods' names."""
    keys = [{key for run in runs for key in settings_of(run)} for runs in (ours, theirs)]
    one_sided = keys[0] ^ keys[1]
    return {"objective.name", *(key for key in one_sided if key.startswith("objective."))}


def _shared(run: Run, own: set[str], equal: Equal) -> str:
    """The text that partners share."""
    settings = {key: value for key, value in settings_of(run).items() if key not in own and key not in BUDGET}
    return json.dumps([run.settings["seed"], _shown(settings_of(run), equal), settings], sort_keys=True)


def _shown(settings: Settings, equal: Equal) -> str:
    """How many views or images the training showed, or, where it is given by epochs, how often it showed each image."""
    views = settings.get(VIEWS_OF_AN_IMAGE, 1)
    if settings.get("training.epochs") is not None:
        epochs = settings["training.epochs"]
        return f"epochs {epochs if equal == 'images' else epochs * views}"
    total = settings["training.views"]
    return f"views {Fraction(total, views) if equal == 'images' else total}"


def _differing(one: Run, other: Run) -> list[str]:
    """The settings, and the metrics that both have, in which two runs differ."""
    ours, theirs = settings_of(one), settings_of(other)
    settings = [key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)]
    both = one.metrics.keys() & other.metrics.keys()
    return sorted(settings) + sorted(key for key in both if one.metrics[key] != other.metrics[key])

"""What was compared: data, views, networks, budget, methods, seeds, and every setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simssl.report import words
from simssl.report.runs import settings_of
from simssl.report.table import Row

Facts = list[tuple[str, str]]
"""Terms, each with what is said of it."""


@dataclass(frozen=True)
class Compared:
    facts: Facts
    of_each_method: Facts
    """The settings in which rows differ, by the row's label."""
    of_all_methods: Facts
    """The settings that all rows share."""


def lead(rows: Sequence[Row]) -> str:
    """One sentence."""
    datasets = dict.fromkeys(row.settings["dataset"]["name"] for row in rows)
    methods = words.count(len({row.objective for row in rows}), "method")
    data = words.several(list(datasets))
    return f"{methods} on {data}: what of an image does each keep, and what does it throw away?"


def compared(rows: Sequence[Row]) -> Compared:
    facts = [
        ("Data", _shared(rows, "dataset", words.plugin)),
        ("Views", _shared(rows, "views", _views)),
        ("Networks", _networks(rows)),
        ("Budget", _shared(rows, "training", _budget)),
        ("Methods", _methods(rows)),
        ("Seeds", _seeds(rows)),
    ]
    settings = [settings_of(row.members[0]) for row in rows]
    shared = _shared_settings(settings)
    of_each_method = []
    for row, own in zip(rows, settings, strict=True):
        of_each_method.append((row.label, _own(own, shared)))
    of_all_methods = [(key, words.value(value)) for key, value in shared.items() if value is not None]
    return Compared(facts, of_each_method, of_all_methods)


def _shared(rows: Sequence[Row], part: str, tell: Callable[[Any], str]) -> str:
    told = list(dict.fromkeys(tell(row.settings[part]) for row in rows))
    if len(told) == 1:
        return told[0]
    return f"{'; or '.join(told)}, by method"


def _views(views: Mapping[str, Any]) -> str:
    return words.settings(views) or "the images as they are"


def _networks(rows: Sequence[Row]) -> str:
    backbone = _shared(rows, "backbone", words.plugin)
    dimensions = _shared(rows, "latent_dim", str)
    return f"{backbone}; {dimensions} latent dimensions"


def _budget(training: Mapping[str, Any]) -> str:
    length = "epochs" if training.get("epochs") else "views"
    told = f"{training.get(length, 0):,} {length}"
    batch = training.get("batch_views")
    if isinstance(batch, int):
        told += f", {batch:,} views a step"
    return told


def _methods(rows: Sequence[Row]) -> str:
    """The labels, by family if one is known."""
    families: dict[str | None, list[str]] = {}
    for row in rows:
        families.setdefault(row.family, []).append(row.label)
    if set(families) == {None}:
        return ", ".join(families[None])
    told = []
    for family, labels in families.items():
        told.append(f"{family or 'not known yet'}: {', '.join(labels)}")
    return "; ".join(told)


def _seeds(rows: Sequence[Row]) -> str:
    runs = [run for row in rows for run in row.members]
    seeds = sorted({run.settings["seed"] for run in runs})
    done = sum(run.status == "measured" and not run.lacking for run in runs)
    finished = "all runs are measured" if done == len(runs) else f"{done} of {len(runs)} runs are measured"
    return f"{', '.join(map(str, seeds))}; {finished}"


def _shared_settings(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all of these say alike, but for the objective's."""
    first = settings[0]
    shared = {}
    for key in dict.fromkeys(key for own in settings for key in own):
        value = first.get(key)
        if not key.startswith("objective.") and all(own.get(key) == value for own in settings):
            shared[key] = value
    return shared


def _own(settings: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    told = []
    for key, value in settings.items():
        if key not in shared and key != "objective.name" and value is not None:
            told.append(f"{key.removeprefix('objective.')} {words.value(value)}")
    return "; ".join(told) or "nothing to set"

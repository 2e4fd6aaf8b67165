"""The section on what was compared: data, views, networks, budget, methods, seeds, and every setting."""

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
    datasets = []
    objectives = set()
    for row in rows:
        name = row.settings["dataset"]["name"]
        if name not in datasets:
            datasets.append(name)
        objectives.add(row.objective)
    methods = words.count(len(objectives), "method")
    data = words.several(datasets)
    return f"{methods} on {data}: what of an image does each keep, and what does it throw away?"


def compared(rows: Sequence[Row]) -> Compared:
    facts = [("Data", _shared(rows, "dataset", words.plugin))]
    if any("positives" in row.settings for row in rows):
        facts.append(("Views of", _shared(rows, "positives", _positives)))
    facts += [
        ("Views", _shared(rows, "views", _views)),
        ("Networks", _networks(rows)),
    ]
    if any("modalities" in row.settings for row in rows):
        facts.append(("Modalities", _shared(rows, "modalities", _modalities)))
    facts.append(("Budget", _shared(rows, "training", _budget)))
    if any("selection" in row.settings for row in rows):
        facts.append(("Selection", _shared(rows, "selection", _selection)))
    facts += [
        ("Methods", _methods(rows)),
        ("Seeds", _seeds(rows)),
    ]
    settings = [settings_of(row.members[0]) for row in rows]
    shared = _shared_settings(settings)
    of_each_method = []
    for row, own in zip(rows, settings, strict=True):
        of_each_method.append((row.label, _own(own, shared)))
    of_all_methods = []
    for key, value in shared.items():
        if value is not None:
            of_all_methods.append((key, words.value(value)))
    return Compared(
        facts=facts,
        of_each_method=of_each_method,
        of_all_methods=of_all_methods,
    )


def _shared(rows: Sequence[Row], part: str, tell: Callable[[Any], str]) -> str:
    told: list[str] = []
    for row in rows:
        text = tell(row.settings.get(part))
        if text not in told:
            told.append(text)
    if len(told) == 1:
        return told[0]
    either = "; or ".join(told)
    return f"{either}, by method"


def _positives(positives: Mapping[str, Any] | None) -> str:
    """The images that the views of an image come from."""
    if not positives:
        return "the image itself"
    return f"images that share {' and '.join(positives['share'])}"


def _views(views: Mapping[str, Any]) -> str:
    return words.settings(views) or "the images as they are"


def _modalities(modalities: Mapping[str, Any] | None) -> str:
    if modalities is None:
        return "none"
    told = [f"{name}: {words.plugin(networks['backbone'])}" for name, networks in modalities.items()]
    return "; ".join(told)


def _networks(rows: Sequence[Row]) -> str:
    backbone = _shared(rows, "backbone", words.plugin)
    dimensions = _shared(rows, "latent_dim", str)
    return f"{backbone}; {dimensions} latent dimensions"


def _budget(training: Mapping[str, Any]) -> str:
    length = "epochs" if training.get("epochs") else "views"
    number = training.get(length, 0)
    told = f"{number:,} {length}"
    batch = training.get("batch_views")
    if isinstance(batch, int):
        told += f", {batch:,} views a step"
    return told


def _selection(selection: Mapping[str, Any] | None) -> str:
    """What a number on held-out images has decided."""
    if selection is None:
        return "none"
    patience = selection.get("patience")
    ends = f"ends after {words.count(patience, 'measurement')} without a better one, " if patience else ""
    evaluator = selection["evaluator"]
    label = evaluator.get("as") or evaluator["name"]
    decides = f"{label}/{selection.get('metric')} on held-out images"
    return f"{decides}: {ends}keeps the {selection.get('keep')} weights"


def _methods(rows: Sequence[Row]) -> str:
    """The labels, by family if one is known. Data, views, networks and budget are told beside."""
    families: dict[str | None, list[str]] = {}
    for row in rows:
        labels = families.setdefault(row.family, [])
        label = row.method
        if label not in labels:
            labels.append(label)
    if set(families) == {None}:
        return ", ".join(families[None])
    told = []
    for family, labels in families.items():
        name = family or "not known yet"
        told.append(f"{name}: {', '.join(labels)}")
    return "; ".join(told)


def _seeds(rows: Sequence[Row]) -> str:
    seeds = set()
    runs = 0
    measured = 0
    for row in rows:
        for run in row.members:
            seeds.add(run.settings["seed"])
            runs += 1
            if run.status == "measured" and not run.lacking:
                measured += 1
    every = ", ".join(map(str, sorted(seeds)))
    if measured == runs:
        return f"{every}; all runs are measured"
    return f"{every}; {measured} of {runs} runs are measured"


def _shared_settings(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings that all of these share, but for the objective's."""
    first = settings[0]
    shared = {}
    for own in settings:
        for key in own:
            value = first.get(key)
            alike = all(other.get(key) == value for other in settings)
            if alike and not key.startswith("objective."):
                shared[key] = value
    return shared


def _own(settings: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    told = []
    for key, value in settings.items():
        if key not in shared and key != "objective.name" and value is not None:
            name = key.removeprefix("objective.")
            told.append(f"{name} {words.value(value)}")
    return "; ".join(told) or "nothing to set"

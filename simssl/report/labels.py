"""The names of a table's rows: the method, with the settings in which it differs from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from simssl.report.runs import Run, Settings, circumstances_of, settings_of

OBJECTIVE = "objective."
TRAINING = "training."
POSITIVES = "positives."
VIEWS = "views."
OWN_VIEWS = " (own views)"
FEW = 2
"""Most settings of the views in which a method may differ from the others to have them all in its name."""


@dataclass(frozen=True)
class Label:
    """The names of a row."""

    label: str
    """The objective's name, with the settings in which it differs from its namesakes in the experiment, and with the
    data, views, networks and budget in which it differs from any method there."""
    without_circumstances: str
    """The same without data, views, networks and budget."""
    in_full: str
    """The same as `label`, with the keys of `training` in full."""


def labels_of(runs: Sequence[Run]) -> list[Label]:
    """The label of each row, of which one run is given."""
    in_experiment: dict[str, list[Settings]] = {}
    of_method: dict[tuple[str, str], list[Settings]] = {}
    for run in runs:
        settings = settings_of(run)
        experiment = run.settings["name"]
        method = (experiment, settings["objective.name"])
        in_experiment.setdefault(experiment, []).append(settings)
        of_method.setdefault(method, []).append(settings)
    names = short_names([settings_of(run) for run in runs])
    return [_label(run, in_experiment, of_method, names) for run in runs]


def _label(
    run: Run,
    in_experiment: dict[str, list[Settings]],
    of_method: dict[tuple[str, str], list[Settings]],
    names: dict[str, str],
) -> Label:
    experiment = run.settings["name"]
    settings = settings_of(run)
    method = settings["objective.name"]
    circumstances = circumstances_of(run)
    label = without = in_full = method
    own_views = _own_views(settings, in_experiment[experiment], of_method[experiment, method])
    if own_views:
        label += OWN_VIEWS
        in_full += OWN_VIEWS
    for key, value in settings.items():
        others = in_experiment[experiment] if key in circumstances else of_method[experiment, method]
        if key in own_views or _all_have(others, key, value):
            continue
        text = _text(value)
        told = f" {names[key]}={text}"
        label += told
        in_full += f" {key.removeprefix(OBJECTIVE)}={text}"
        if key not in circumstances:
            without += told
    return Label(label, without, in_full)


def _own_views(settings: Settings, experiment: Sequence[Settings], of_method: Sequence[Settings]) -> list[str]:
    """The settings of the views that a method has of its own, where they are too many to stand in its name.

    They are none in which rows of the method differ from one another.
    """
    own = []
    for key, value in settings.items():
        is_own = key.startswith(VIEWS) and _all_have(of_method, key, value)
        if is_own and not _all_have(experiment, key, value):
            own.append(key)
    return own if len(own) > FEW else []


def _all_have(others: Sequence[Settings], key: str, value: Any) -> bool:
    return all(other.get(key) == value for other in others)


def _text(value: Any) -> str:
    """A value in a label. Names are listed without brackets and quotes."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return str(value)


def short_names(every: Iterable[Settings]) -> dict[str, str]:
    """The name of each key in labels: without the prefix of the objective, and the last part alone of some sections.

    A last part that another setting has, too, stays with its prefix.
    """
    keys: dict[str, None] = {}
    for settings in every:
        keys.update(dict.fromkeys(settings))
    shortest = {}
    for key in keys:
        shortest[key] = key.removeprefix(OBJECTIVE)
        if key.startswith((TRAINING, POSITIVES)):
            shortest[key] = key.rpartition(".")[2]
    times = Counter(shortest.values())
    names = {}
    for key, name in shortest.items():
        names[key] = name if times[name] == 1 else key.removeprefix(OBJECTIVE)
    return names

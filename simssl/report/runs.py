"""The runs in folders: what their files say, each run once, and what cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from simssl.errors import RunError, SimsslError, UserError
from simssl.experiment.yaml12 import read
from simssl.store.folder import RunFolder
from simssl.store.metrics import FAMILIES, label_of, read_facts, read_metrics

SETTINGS = ("dataset", "views", "backbone", "latent_dim", "objective", "training")
"""What the runs of one row have in common, besides the experiment's name."""


BUDGET = ("training.views", "training.epochs")


@dataclass(frozen=True)
class Run:
    """What a run's folder says of it; or a run of an experiment file that has no folder yet."""

    settings: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    path: Path | None = None
    status: Literal["measured", "unfinished", "unreadable", "not run"] = "measured"
    family: str | None = None
    """Of its method: untrained, discriminative or generative."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """content or style, of each target and of each parameter that the views draw."""
    about: Mapping[str, str] = field(default_factory=dict)
    """What each evaluator says of itself."""
    unmeasured: Literal["unfinished", "not run"] = "unfinished"
    """What an evaluator is that is asked for and has not measured this run, though others have."""

    @property
    def asked(self) -> list[str]:
        """The labels of its file's evaluators."""
        return list(map(_called, self.settings["evaluators"]))

    @property
    def there(self) -> set[str]:
        """The labels of the evaluators that have measured it, or been skipped."""
        return set(map(label_of, self.metrics))

    @property
    def lacking(self) -> list[str]:
        """The labels of those that are asked for, and not there."""
        there = self.there
        return [label for label in self.asked if label not in there]

    @property
    def group(self) -> str:
        return json.dumps([self.settings["name"], *(self.settings[key] for key in SETTINGS)], sort_keys=True)


def find(path: Path) -> list[Path]:
    """The runs in a folder that were begun, each once: those with metrics, and those that something still locks or
    has locked, with their experiment written down."""
    measured = {file.parent for file in path.rglob("metrics.json")}
    begun = {file.parent for file in path.rglob(".lock") if RunFolder(file.parent).experiment.exists()}
    return [
        run for run in sorted(measured | begun) if not any(part.startswith(".") for part in run.relative_to(path).parts)
    ]


def load_run(path: Path) -> Run:
    """The run in a folder; RunError says what is wrong with it."""
    folder = RunFolder(path)
    metrics = read_metrics(folder)
    if not folder.experiment.exists():
        raise RunError(f"{path} is not a run: it has no experiment.yaml")
    settings = read(folder.experiment).tree
    wrong = [key for key, fits in _FITS.items() if not fits(settings.get(key))]
    if wrong:
        raise RunError(f"{folder.experiment} is damaged: {', '.join(wrong)} is missing or no run's")
    measured = bool(metrics) or (metrics is not None and not settings["evaluators"])
    return Run(settings, metrics or {}, path, "measured" if measured else "unfinished", **read_facts(folder))


def only(runs: Sequence[Run], labels: Sequence[str]) -> list[Run]:
    """The runs as if these evaluators alone were asked for and had measured them; UserError if one is unknown."""
    known = list(dict.fromkeys(label for run in runs for label in (*run.asked, *sorted(run.there))))
    for label in labels:
        if label not in known:
            raise UserError(f"no run knows an evaluator '{label}'; they know {', '.join(known) or 'none'}")
    return [
        replace(
            run,
            metrics={key: entry for key, entry in run.metrics.items() if label_of(key) in labels},
            settings={
                **run.settings,
                "evaluators": [choice for choice in run.settings["evaluators"] if _called(choice) in labels],
            },
        )
        for run in runs
    ]


def _called(evaluator: Mapping[str, Any]) -> str:
    """The label of an evaluator in a run's file."""
    return str(evaluator.get("as", evaluator["name"]))


def _names_plugin(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


_FITS: dict[str, Callable[[Any], bool]] = {
    "name": lambda value: isinstance(value, str),
    "seed": lambda value: isinstance(value, int),
    "evaluators": lambda value: isinstance(value, list) and all(map(_names_plugin, value)),
    "latent_dim": lambda value: isinstance(value, int),
    **dict.fromkeys(("views", "training"), lambda value: isinstance(value, dict)),
    **dict.fromkeys(("dataset", "backbone", "objective"), _names_plugin),
}
"""What a run's experiment.yaml must hold to be shown."""


def load_runs(paths: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """The runs in these folders, and a sentence for each that cannot be read."""
    runs, unreadable = [], []
    for path in paths:
        try:
            runs.append(load_run(path))
        except SimsslError as error:
            unreadable.append(f"left out: {error}")
    return runs, unreadable


def by_family(runs: Sequence[Run]) -> list[Run]:
    """Experiment by experiment: what is untrained, then discriminative methods, then generative ones; those of one
    objective in the order of their settings."""
    experiments = list(dict.fromkeys(run.settings["name"] for run in runs))
    families = [*FAMILIES, None]
    of_setting = {run.group: families.index(run.family) for run in runs if run.family}

    def order(run: Run) -> tuple[Any, ...]:
        family = of_setting.get(run.group, len(families))
        settings = [(key, *_comparable(value)) for key, value in sorted(settings_of(run).items())]
        name, seed = run.settings["objective"]["name"], run.settings["seed"]
        return experiments.index(run.settings["name"]), family, name, settings, seed

    return sorted(runs, key=order)


def _comparable(value: Any) -> tuple[float, str]:
    """Numbers by their size, what is no number by its text."""
    return (float(value), "") if isinstance(value, (int, float)) else (0.0, str(value))


def settings_of(run: Run) -> dict[str, Any]:
    """What its row has in common, by dotted key."""
    return flatten({key: run.settings[key] for key in SETTINGS})


def circumstances_of(run: Run) -> dict[str, Any]:
    """Of the settings those that two methods must share to be compared: data, views, networks and budget."""
    return {
        key: value
        for key, value in settings_of(run).items()
        if value is not None and (key in BUDGET or key.split(".")[0] not in ("objective", "training"))
    }


def once(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Copies of one run as one, with all that was measured on any of them; and sentences that say so."""
    once: dict[tuple[str, int], Run] = {}
    differing: dict[str, None] = {}
    for run in runs:
        identity = run.group, run.settings["seed"]
        first = once.setdefault(identity, run)
        both = run.metrics.keys() & first.metrics.keys()
        differing |= dict.fromkeys(sorted(key for key in both if run.metrics[key] != first.metrics[key]))
        both_metrics = {**run.metrics, **first.metrics}
        once[identity] = replace(run if first.status != "measured" else first, metrics=both_metrics)
    notes = [f"{key}: copies of a run differ, and the first is shown" for key in differing]
    if len(once) < len(runs):
        notes.insert(0, f"{len(runs) - len(once)} of the runs are copies of others, and counted once")
    return list(once.values()), notes


def flatten(tree: Any, path: str = "") -> dict[str, Any]:
    """The leaves of nested mappings, by dotted key."""
    if not isinstance(tree, dict):
        return {path: tree}
    parts = (flatten(value, f"{path}.{key}" if path else key) for key, value in tree.items())
    return {key: value for part in parts for key, value in part.items()}

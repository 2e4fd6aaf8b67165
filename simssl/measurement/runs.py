"""The finished runs in folders: what their files say, each run once, and what cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simssl.errors import RunError, SimsslError, UserError
from simssl.experiment.yaml12 import read
from simssl.measurement.metrics import read_metrics
from simssl.training.folder import RunFolder

SETTINGS = ("dataset", "views", "backbone", "latent_dim", "objective", "training")
"""What the runs of one row have in common, besides the experiment's name."""


@dataclass(frozen=True)
class Run:
    """What a finished run's folder says of it."""

    settings: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]

    @property
    def group(self) -> str:
        return json.dumps([self.settings["name"], *(self.settings[key] for key in SETTINGS)], sort_keys=True)


def find(paths: Sequence[Path]) -> list[Path]:
    """The finished runs in these folders, each once; UserError if there is none."""
    found: dict[Path, Path] = {}
    for path in paths:
        for run in sorted(file.parent for file in path.rglob("metrics.json")):
            if not any(part.startswith(".") for part in run.relative_to(path).parts):
                found.setdefault(run.resolve(), run)
    if not found:
        raise UserError(f"no finished run was found in {', '.join(map(str, paths))}")
    return list(found.values())


def load(path: Path) -> Run:
    """The run in a folder; RunError says what is wrong with it."""
    folder = RunFolder(path)
    metrics = read_metrics(folder)
    if metrics is None or not folder.experiment.exists():
        raise RunError(f"{path} is not a finished run: it needs a metrics.json and an experiment.yaml")
    settings = read(folder.experiment).tree
    wrong = [key for key, fits in _FITS.items() if not fits(settings.get(key))]
    if wrong:
        raise RunError(f"{folder.experiment} is damaged: {', '.join(wrong)} is missing or no run's")
    return Run(settings, metrics)


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


def load_all(paths: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """The runs in these folders, and a sentence for each that cannot be read."""
    runs, unreadable = [], []
    for path in paths:
        try:
            runs.append(load(path))
        except SimsslError as error:
            unreadable.append(f"left out: {error}")
    return runs, unreadable


def once(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Copies of one run as one, with all that was measured on any of them; and sentences that say so."""
    once: dict[tuple[str, int], Run] = {}
    differing: dict[str, None] = {}
    for run in runs:
        identity = run.group, run.settings["seed"]
        first = once.setdefault(identity, run)
        both = run.metrics.keys() & first.metrics.keys()
        differing |= dict.fromkeys(sorted(key for key in both if run.metrics[key] != first.metrics[key]))
        once[identity] = replace(first, metrics={**run.metrics, **first.metrics})
    notes = [f"{key}: copies of a run differ, and the first is shown" for key in differing]
    if len(once) < len(runs):
        notes.insert(0, f"{len(runs) - len(once)} of the runs are copies of others, and counted once")
    return list(once.values()), notes

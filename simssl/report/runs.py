"""The runs of a report: their files are read, and copies of a run become one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from simssl.errors import RunError, SimsslError, UserError
from simssl.experiment.yaml12 import read
from simssl.report.settings import check_settings
from simssl.store.files import read_json
from simssl.store.folder import RunFolder
from simssl.store.history import Moment
from simssl.store.metrics import label_of, read_facts, read_metrics

METHOD = ("objective", "training")
"""The settings of a method itself; of these only the budget has to be shared by methods that are compared."""

SETTINGS = ("dataset", "positives", "views", "backbone", "latent_dim", *METHOD, "modalities", "selection")
"""The settings that the runs of one row have in common, besides the experiment's name."""

Settings = dict[str, Any]
"""Settings by dotted key: "training.views" -> 1000."""

BUDGET = ("training.views", "training.epochs")
"""The settings of training that methods must share to be compared."""

Status = Literal["measured", "unfinished", "unreadable", "not run"]


@dataclass(frozen=True)
class Run:
    """A run, as its folder says; or a run of an experiment file that has no folder yet."""

    settings: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    path: Path | None = None
    status: Status = "measured"
    family: str | None = None
    """The family of its method: untrained, discriminative or generative; None if that is not recorded."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """content or style, of each target and of each parameter that the views draw."""
    about: Mapping[str, str] = field(default_factory=dict)
    """A sentence of each evaluator on itself."""
    unmeasured: Literal["unfinished", "not run"] = "unfinished"
    """The state of an evaluator that is asked for and has not measured this run, though others have."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """Of a run in an archive: the name of its folder, and what trained it, as they stand there for readers."""
    history: Sequence[Moment] = ()
    """Of a run in an archive: what was measured while it trained."""

    @property
    def source(self) -> str:
        """Its folder, or the name that an archive has of it."""
        return str(self.path or self.told.get("run", ""))

    @property
    def asked(self) -> list[str]:
        """The labels of its file's evaluators."""
        return [_label(evaluator) for evaluator in self.settings["evaluators"]]

    @property
    def there(self) -> set[str]:
        """The labels of the evaluators that have measured it, or been skipped."""
        return set(map(label_of, self.metrics))

    @property
    def lacking(self) -> list[str]:
        """The labels of the evaluators that are asked for, and not there."""
        there = self.there
        return [label for label in self.asked if label not in there]

    @property
    def group(self) -> str:
        """The text that the runs of one row share."""
        shared = [self.settings["name"]]
        shared += [self.settings.get(key) for key in SETTINGS]
        return json.dumps(shared, sort_keys=True)


def load_run(path: Path) -> Run:
    """The run in a folder; RunError says what is wrong with it."""
    folder = RunFolder(path)
    metrics = read_metrics(folder)
    if not folder.experiment.is_file():
        raise RunError(f"{path} is not a run: it has no experiment.yaml")
    settings = read(folder.experiment).tree
    try:
        check_settings(settings)
    except ValueError as error:
        raise RunError(f"{folder.experiment} is damaged: {error}") from error
    nothing_asked = metrics is not None and not settings["evaluators"]
    status: Status = "measured" if metrics or nothing_asked else "unfinished"
    facts = read_facts(folder)
    return Run(
        settings=settings,
        metrics=metrics or {},
        path=path,
        status=status,
        **facts,
    )


def environment_of(run: Run) -> dict[str, Any]:
    """What the run's environment.json says; nothing if it is damaged, or the run has no folder: no table needs it."""
    if run.path is None:
        return {}
    try:
        return read_json(RunFolder(run.path).environment) or {}
    except RunError:
        return {}


def only(runs: Sequence[Run], labels: Sequence[str]) -> list[Run]:
    """The runs as if these evaluators alone were asked for and had measured them; UserError if one is unknown."""
    known: dict[str, None] = {}
    for run in runs:
        known |= dict.fromkeys(run.asked)
        known |= dict.fromkeys(sorted(run.there))
    listed = ", ".join(known) or "none"
    for label in labels:
        if label not in known:
            raise UserError(f"no run knows an evaluator '{label}'; they know {listed}")
    return [_only(run, labels) for run in runs]


def _only(run: Run, labels: Sequence[str]) -> Run:
    metrics = dict(run.metrics)
    for key in run.metrics:
        if label_of(key) not in labels:
            del metrics[key]
    evaluators = []
    for evaluator in run.settings["evaluators"]:
        label = _label(evaluator)
        if label in labels:
            evaluators.append(evaluator)
    settings = {**run.settings, "evaluators": evaluators}
    return replace(run, metrics=metrics, settings=settings)


def _label(evaluator: Mapping[str, Any]) -> str:
    """The label of an evaluator in a run's file."""
    label = evaluator.get("as", evaluator["name"])
    return str(label)


def load_runs(paths: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """The runs in these folders, and a sentence for each that cannot be read."""
    runs = []
    unreadable = []
    for path in paths:
        try:
            runs.append(load_run(path))
        except SimsslError as error:
            unreadable.append(f"left out: {error}")
    return runs, unreadable


def settings_of(run: Run) -> Settings:
    """The settings that the runs of its row have in common, by dotted key."""
    shared = {key: run.settings[key] for key in SETTINGS if key in run.settings}
    return flatten(shared)


def circumstances_of(run: Run) -> Settings:
    """The settings that two methods must share to be compared: data, views, networks and budget; by dotted key."""
    circumstances = {}
    for key, value in settings_of(run).items():
        section = key.split(".")[0]
        of_method = section in METHOD
        if of_method and key not in BUDGET:
            continue
        if value is not None:
            circumstances[key] = value
    return circumstances


def merge_copies(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Copies of one run as one, with all that was measured on any of them; and sentences that say so."""
    merged: dict[tuple[str, int], Run] = {}
    differing: dict[str, None] = {}
    for run in runs:
        identity = (run.group, run.settings["seed"])
        first = merged.setdefault(identity, run)
        on_both = run.metrics.keys() & first.metrics.keys()
        for key in sorted(on_both):
            ours = run.metrics[key]
            if ours != first.metrics[key]:
                differing[key] = None
        metrics = {**run.metrics, **first.metrics}
        shown = first if first.status == "measured" else run
        merged[identity] = replace(shown, metrics=metrics)

    notes = []
    copies = len(runs) - len(merged)
    if copies:
        notes.append(f"{copies} of the runs are copies of others, and counted once")
    notes += [f"{key}: copies of a run differ, and the first is shown" for key in differing]
    return list(merged.values()), notes


def flatten(tree: Any, path: str = "") -> Settings:
    """The leaves of nested mappings, by dotted key."""
    if not isinstance(tree, dict):
        return {path: tree}
    leaves: Settings = {}
    for key, value in tree.items():
        below = f"{path}.{key}" if path else key
        leaves |= flatten(value, below)
    return leaves

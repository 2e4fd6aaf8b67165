"""An experiment's cells: each trained, measured, and told apart from the ones that are done already."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from simssl.api import Data
from simssl.errors import RunError, RunHeld, SimsslError, UserError, one_line
from simssl.experiment.config import Choice, Experiment
from simssl.experiment.config import load as load_experiments
from simssl.measurement.evaluate import build, evaluate, missing
from simssl.registry import Registry
from simssl.training.assemble import assemble, choose_device, load_data
from simssl.training.environment import describe
from simssl.training.folder import RunFolder, read_json, write_json, write_whole
from simssl.training.stop import Stop
from simssl.training.trackers import Trackers
from simssl.training.train import restore_trained, run_info, train

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What became of a cell."""

    experiment: Experiment
    folder: Path
    status: Literal["done", "already done", "failed", "held"]
    message: str = ""
    error: BaseException | None = None


@dataclass
class Workplace:
    """Where runs lie, where data is, and on which device; data sets that are loaded stay loaded."""

    registry: Registry
    runs: Path
    data: Path
    device: str = "auto"
    say: Say = print
    warn: Say = print
    threads: int = field(default_factory=torch.get_num_threads)
    _loaded: dict[str, Data] = field(default_factory=dict)

    def folder(self, experiment: Experiment) -> RunFolder:
        return RunFolder(self.runs / experiment.folder)

    def data_of(self, choice: Choice) -> Data:
        key = repr(choice.resolved)
        if key not in self._loaded:
            self._loaded[key] = load_data(choice, self.registry, self.data, self._progress())
        return self._loaded[key]

    def _progress(self) -> Callable[[str, int, int], None]:
        told: set[tuple[str, int]] = set()

        def progress(label: str, done: int, total: int) -> None:
            tenth = (label, 10 * done // max(1, total))
            if tenth not in told:
                told.add(tenth)
                self.say(f"{label}: {done:,}/{total:,}")

        return progress


def run(cells: Sequence[Experiment], place: Workplace, fresh: bool = False) -> list[Outcome]:
    """Train and measure every cell that is not done. A failed cell does not stop the others.

    UserError before anything is trained if a cell cannot be built; Interrupted on SIGINT or SIGTERM.
    """
    device = choose_device(place.device)
    unfinished = [fresh or not is_done(cell, place.folder(cell)) for cell in cells]
    _check_all([cell for cell, open_ in zip(cells, unfinished, strict=True) if open_], place)
    outcomes = []
    with Stop() as stop:
        for number, (cell, open_) in enumerate(zip(cells, unfinished, strict=True), 1):
            folder = place.folder(cell)
            title = f"[{number}/{len(cells)}] {cell.objective.name}, seed {cell.seed}: {folder.path}"
            place.say(title if open_ else f"{title} is done already")
            done_already = Outcome(cell, folder.path, "already done")
            outcomes.append(_guarded(cell, place, device, stop, fresh) if open_ else done_already)
    return outcomes


def is_done(cell: Experiment, folder: RunFolder) -> bool:
    """Whether the run is trained and every evaluator of the file has measured it; needs no checkpoint."""
    try:
        return folder.metrics.exists() and not missing(cell, folder)
    except RunError:  # damaged: told when the cell's turn comes
        return False


def _check_all(cells: Sequence[Experiment], place: Workplace) -> None:
    """Build every cell once, so that what cannot work is said before anything is trained."""
    for cell in cells:
        data = place.data_of(cell.dataset)
        assemble(cell, place.registry, data, torch.device("cpu"))
        for choice in cell.evaluators:
            build(choice, place.registry, data)
    for cell in cells:
        place.folder(cell).create()


def _guarded(cell: Experiment, place: Workplace, device: torch.device, stop: Stop, fresh: bool) -> Outcome:
    """The cell's outcome; an error becomes one, a signal goes on up."""
    folder = place.folder(cell)
    try:
        if fresh:
            _move_aside(folder, place)
        with folder.locked():
            missing(cell, folder)  # says so before the training if metrics.json is damaged
            _work_on(cell, place, folder, device, stop)
        return Outcome(cell, folder.path, "done")
    except RunHeld as error:
        outcome = Outcome(cell, folder.path, "held", str(error), error)
    except SimsslError as error:
        outcome = Outcome(cell, folder.path, "failed", str(error), error)
    except Exception as error:  # a plugin's, or ours
        outcome = Outcome(cell, folder.path, "failed", one_line(error), error)
    place.warn(f"{outcome.status}: {outcome.message}")
    return outcome


def _move_aside(folder: RunFolder, place: Workplace) -> None:
    with folder.locked():
        old = folder.move_aside() if folder.experiment.exists() else None
    folder.create()
    if old:
        place.say(f"  the old run is moved to {old}")


def _work_on(cell: Experiment, place: Workplace, folder: RunFolder, device: torch.device, stop: Stop) -> None:
    """Train the cell from where it stands, then run the evaluators that are missing."""
    torch.set_num_threads(place.threads)
    assembly = assemble(cell, place.registry, place.data_of(cell.dataset), device)
    write_whole(folder.experiment, _experiment_yaml(cell))
    _record(cell, place, folder, device, started=_now())
    with _tracked(cell, place) as trackers:
        seconds = train(assembly, folder, trackers, stop)
        _record(cell, place, folder, device, training_seconds=round(seconds, 3))
        evaluate(assembly, folder, missing(cell, folder), place.registry, trackers)
    _record(cell, place, folder, device, ended=_now())


def evaluate_run(path: Path, place: Workplace, choices: Sequence[Choice] = ()) -> None:
    """Run evaluators (those of its file that are missing, if none are named) on a trained run.

    UserError if there is no such run, or it is not trained to the end.
    """
    folder = RunFolder(path)
    if not folder.experiment.exists():
        raise UserError(f"{path} is not a run's folder: it has no experiment.yaml")
    (cell,) = load_experiments(folder.experiment, place.registry)
    device = choose_device(place.device)
    with Stop(), folder.locked():
        data = place.data_of(cell.dataset)
        for choice in choices:
            build(choice, place.registry, data)
        assembly = assemble(cell, place.registry, data, device)
        restore_trained(assembly, folder)
        with _tracked(cell, place) as trackers:
            trackers.started(run_info(assembly, folder, assembly.steps))
            evaluate(assembly, folder, choices or missing(cell, folder), place.registry, trackers)


def _experiment_yaml(cell: Experiment) -> bytes:
    return yaml.safe_dump(cell.resolved, sort_keys=False, default_flow_style=None, width=100).encode()


@contextmanager
def _tracked(cell: Experiment, place: Workplace) -> Iterator[Trackers]:
    """The run's trackers, told at the end what ended it."""
    built = [(choice.name, place.registry.load(choice.kind, choice.name)(choice.params)) for choice in cell.trackers]
    trackers = Trackers(built, place.warn)
    try:
        yield trackers
    except BaseException as error:
        trackers.ended(error)
        raise
    trackers.ended(None)


def _record(cell: Experiment, place: Workplace, folder: RunFolder, device: torch.device, **times: Any) -> None:
    """environment.json: what the run is made with, and these times beside the ones that stand there."""
    plugins = {place.registry.find(choice.kind, choice.name) for choice in cell.choices}
    before = (read_json(folder.environment) or {}).get("times", {})
    first = {"first_started": _now()} if not before else {}
    write_json(folder.environment, {**describe(device, plugins), "times": {**first, **before, **times}})


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")

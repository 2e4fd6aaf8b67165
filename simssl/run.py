"""An experiment's cells: each trained, measured, and told apart from the ones that are done already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from simssl.api import Data
from simssl.errors import RunHeld, SimsslError, UserError, one_line
from simssl.experiment.config import load as load_experiments
from simssl.experiment.model import Choice, Experiment
from simssl.experiment.yaml12 import dump, read
from simssl.loading import places_of
from simssl.measurement.evaluate import build, evaluate, why_skipped
from simssl.measurement.metrics import label_of, missing, read_metrics
from simssl.registry import Plugin, Registry
from simssl.training.assemble import Assembly, assemble, choose_device, load_data
from simssl.training.environment import Record, describe, now, recalling, tell_of_changes
from simssl.training.folder import RunFolder, write_whole
from simssl.training.precision import shortfall
from simssl.training.stop import Stop
from simssl.training.trackers import Trackers, run_info
from simssl.training.train import Trainer, restore_trained, train

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
            self._loaded[key] = load_data(choice, self.registry, self.data, self.progress())
        return self._loaded[key]

    def progress(self) -> Callable[[str, int, int], None]:
        """What a slow step reports to: a line at each tenth of it."""
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
    outcomes = []
    with Stop() as stop:
        _check_all([cell for cell, open_ in zip(cells, unfinished, strict=True) if open_], place)
        if sentence := shortfall(cells, device):
            place.say(sentence)
        for number, (cell, open_) in enumerate(zip(cells, unfinished, strict=True), 1):
            folder = place.folder(cell)
            title = f"[{number}/{len(cells)}] {cell.objective.name}, seed {cell.seed}: {folder.path}"
            place.say(title if open_ else f"{title} is done already")
            if not fresh:
                tell_of_changes(folder, cell.choices, place.registry)
            done_already = Outcome(cell, folder.path, "already done")
            outcomes.append(_guarded(cell, place, device, stop, fresh) if open_ else done_already)
    return [_again(outcome, place) for outcome in outcomes]


def _again(outcome: Outcome, place: Workplace) -> Outcome:
    """A cell that another process held may be done by now."""
    cell = outcome.experiment
    if outcome.status == "held" and is_done(cell, place.folder(cell)):
        return Outcome(cell, outcome.folder, "already done")
    return outcome


def is_done(cell: Experiment, folder: RunFolder) -> bool:
    """Whether the run is trained, every evaluator of the file has measured it, and a table can show it.

    Needs neither its checkpoint nor its data.
    """
    try:
        read(folder.experiment)
        return folder.metrics.exists() and not missing(cell, folder)
    except (SimsslError, OSError):  # told when the cell's turn comes
        return False


def _check_all(cells: Sequence[Experiment], place: Workplace) -> None:
    """Build every cell once, so that what cannot work, or will be skipped, is said before anything is trained."""
    skipped: dict[str, None] = {}
    for cell in cells:
        data = place.data_of(cell.dataset)
        assembly = assemble(cell, place.registry, data, torch.device("cpu"))
        for choice in cell.evaluators:
            reason = why_skipped(build(choice, place.registry, data), assembly)
            if reason:
                skipped[f"{choice.label} will be skipped: {reason}"] = None
    for cell in cells:
        place.folder(cell).create()
    for sentence in skipped:
        place.say(sentence)


def _guarded(cell: Experiment, place: Workplace, device: torch.device, stop: Stop, fresh: bool) -> Outcome:
    """The cell's outcome; an error becomes one, a signal goes on up."""
    folder = place.folder(cell)
    try:
        with folder.locked():
            old = _make_room(cell, folder, fresh)
        if old:
            place.say(f"  {old}")
        with folder.locked():
            _work_on(cell, place, folder, device, stop)
        return Outcome(cell, folder.path, "done")
    except RunHeld as error:
        outcome = Outcome(cell, folder.path, "held", str(error), error)
    except SimsslError as error:
        outcome = Outcome(cell, folder.path, "failed", str(error), error)
    except Exception as error:  # a plugin's, or ours
        near = places_of(*(place.registry.load(choice.kind, choice.name) for choice in cell.choices))
        outcome = Outcome(cell, folder.path, "failed", one_line(error, near), error)
    place.warn(f"{outcome.status}: {outcome.message}")
    return outcome


def _make_room(cell: Experiment, folder: RunFolder, fresh: bool) -> str | None:
    """Move an old run aside: with --fresh, or if its checkpoint is gone, so that its numbers meet no new weights."""
    if fresh and not folder.empty:
        return f"the old run is moved to {folder.move_aside()}"
    measured = bool(read_metrics(folder)) or folder.features.exists()
    if measured and not folder.checkpoint.exists():
        return f"its checkpoint is gone, so what was measured with it is moved to {folder.move_aside()}"
    missing(cell, folder)  # says so before the training if metrics.json is damaged
    return None


def _work_on(cell: Experiment, place: Workplace, folder: RunFolder, device: torch.device, stop: Stop) -> None:
    """Train the cell from where it stands, then run the evaluators that are missing."""
    torch.set_num_threads(place.threads)
    assembly = assemble(cell, place.registry, place.data_of(cell.dataset), device)
    trainer = Trainer(assembly, folder)
    trainer.restore()
    write_whole(folder.experiment, dump(cell.resolved).encode())
    record = Record(folder, describe(device, _plugins(cell, place)), place.warn)
    with _tracked(cell, place) as trackers:
        trackers.started(run_info(assembly, folder, trainer.step))
        if not trainer.done:
            record.add("training", started=now())
            train(trainer, trackers, stop)
            record.add("training", ended=now(), seconds=round(trainer.seconds, 3))
        _measure(assembly, folder, missing(cell, folder), place, trackers, record)


def _measure(
    assembly: Assembly,
    folder: RunFolder,
    choices: Sequence[Choice],
    place: Workplace,
    trackers: Trackers,
    record: Record,
) -> None:
    if choices:
        record.add("measurement", started=now())
    evaluate(assembly, folder, choices, place.registry, trackers)
    if choices:
        record.add("measurement", ended=now())


def _plugins(cell: Experiment, place: Workplace) -> set[Plugin]:
    return {place.registry.find(choice.kind, choice.name) for choice in cell.choices}


@contextmanager
def _tracked(cell: Experiment, place: Workplace) -> Iterator[Trackers]:
    """The run's trackers, told at the end what ended it."""
    load = place.registry.load
    build = {c.label: partial(lambda c: load(c.kind, c.name)(c.params), c) for c in cell.trackers}
    trackers = Trackers(build, place.warn)
    try:
        yield trackers
    except BaseException as error:
        trackers.ended(error)
        raise
    trackers.ended(None)


def evaluate_run(path: Path, place: Workplace, choices: Sequence[Choice] = ()) -> None:
    """Run evaluators on a trained run: these, or those of its file that are missing, or that skipped a part.

    UserError if there is no such run, or it is not trained to the end.
    """
    folder = RunFolder.existing(path)
    registry = recalling(place.registry, folder)
    (cell,) = load_experiments(folder.experiment, registry, ("evaluators=[]",) if choices else ())
    tell_of_changes(folder, cell.choices, registry)
    cell = replace(cell, evaluators=tuple(choices) or cell.evaluators)
    device = choose_device(place.device)
    with Stop(), folder.locked():
        data = place.data_of(cell.dataset)
        for choice in choices:
            build(choice, place.registry, data)
        _say_what_is_replaced(choices, folder, place)
        assembly = assemble(cell, place.registry, data, device)
        restore_trained(assembly, folder)
        record = Record(folder, describe(device, _plugins(cell, place)), place.warn)
        with _tracked(cell, place) as trackers:
            trackers.started(run_info(assembly, folder, assembly.steps))
            _measure(assembly, folder, choices or missing(cell, folder, in_part=True), place, trackers, record)


def _say_what_is_replaced(choices: Sequence[Choice], folder: RunFolder, place: Workplace) -> None:
    labels = [choice.label for choice in choices]
    twice = {label for label in labels if labels.count(label) > 1}
    if twice:
        raise UserError(f"'{twice.pop()}' is asked for twice; tell them apart with 'as: another-name'")
    there = set(map(label_of, read_metrics(folder) or {}))
    for label in labels:
        if label in there:
            place.say(f"{label} is measured again, in place of the numbers that are there")

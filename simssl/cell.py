"""One run of an experiment: trained from where it stands, measured, and told apart from what is done already."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from simssl.api import Data
from simssl.errors import RunHeld, SimsslError, one_line
from simssl.experiment.model import Choice, Experiment
from simssl.experiment.yaml12 import dump, read
from simssl.loading import line_of, places_of
from simssl.measurement.evaluate import evaluate
from simssl.measurement.metrics import missing, read_metrics
from simssl.registry import Plugin, Registry
from simssl.training.assemble import Assembly, assemble, load_data
from simssl.training.environment import Record, describe, now, tell_of_changes
from simssl.training.folder import RunFolder, write_whole
from simssl.training.precision import computed_in
from simssl.training.stop import Stop
from simssl.training.trackers import Trackers, run_info
from simssl.training.train import Trainer, train

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What became of a cell."""

    folder: Path
    status: Literal["done", "already done", "failed", "held"]
    message: str = ""
    traceback: str = ""


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
    """What a run begins with; one that has begun keeps its own."""
    _loaded: dict[str, Data] = field(default_factory=dict)

    def folder(self, experiment: Experiment) -> RunFolder:
        return RunFolder(self.runs / experiment.folder)

    def data_of(self, choice: Choice) -> Data:
        key = repr(choice.resolved)
        if key not in self._loaded:
            self._loaded[key] = load_data(choice, self.registry, self.data, self.progress())
        return self._loaded[key]

    def forget_data(self) -> None:
        """Give back the memory of the data sets that are loaded."""
        self._loaded.clear()

    def progress(self) -> Callable[[str, int, int], None]:
        """What a slow step reports to: a line at each tenth of it."""
        told: set[tuple[str, int]] = set()

        def progress(label: str, done: int, total: int) -> None:
            tenth = (label, 10 * done // max(1, total))
            if tenth not in told:
                told.add(tenth)
                self.say(f"{label}: {done:,}/{total:,}")

        return progress


@dataclass(frozen=True)
class Turn:
    """A cell of the grid, as it comes to its turn."""

    label: str
    """Which one it is, such as "[3/12] simclr, seed 0"."""
    cell: Experiment
    folder: RunFolder
    fresh: bool
    """Whether it starts again, whatever is there."""
    done: bool
    """Whether there is nothing to do."""


def is_done(cell: Experiment, folder: RunFolder) -> bool:
    """Whether the run is trained, every evaluator of the file has measured it, and a table can show it.

    Needs neither its checkpoint nor its data.
    """
    try:
        read(folder.experiment)
        return folder.metrics.exists() and not missing(cell, folder)
    except (SimsslError, OSError):  # told when the cell's turn comes
        return False


def announce(turn: Turn, place: Workplace) -> None:
    """Say which cell it is, and which of its plugins are not what it was made with."""
    title = f"{turn.label}: {turn.folder.path}"
    place.say(f"{title} is done already" if turn.done else title)
    if not turn.fresh:
        tell_of_changes(turn.folder, turn.cell.choices, place.registry)


def work_on(turn: Turn, place: Workplace, device: torch.device, stop: Stop) -> Outcome:
    """Train and measure a cell. An error becomes its outcome, a signal goes on up."""
    cell, folder = turn.cell, turn.folder
    try:
        with folder.locked():
            old = _make_room(turn)
        if old:
            place.say(f"  {old}")
        with folder.locked():
            _train_and_measure(cell, place, folder, device, stop)
        return Outcome(folder.path, "done")
    except RunHeld as error:
        outcome = Outcome(folder.path, "held", str(error), trace(error))
    except SimsslError as error:
        outcome = Outcome(folder.path, "failed", str(error), trace(error))
    except Exception as error:  # a plugin's, or ours
        near = places_of(*(place.registry.load(choice.kind, choice.name) for choice in cell.choices))
        objective = place.registry.load("objective", cell.objective.name)
        line = line_of(objective) if isinstance(error, TypeError) else ""  # of a method that takes other arguments
        outcome = Outcome(folder.path, "failed", one_line(error, near, line), trace(error))
    place.warn(f"{outcome.status}: {outcome.message}")
    return outcome


def trace(error: BaseException) -> str:
    """The traceback, for --debug."""
    return "".join(traceback.format_exception(error))


def _make_room(turn: Turn) -> str | None:
    """Move an old run aside: with --fresh, or if its checkpoint is gone, so that its numbers meet no new weights."""
    folder = turn.folder
    if turn.fresh and not folder.empty:
        return f"the old run is moved to {folder.move_aside()}"
    measured = bool(read_metrics(folder)) or folder.features.exists()
    if measured and not folder.checkpoint.exists():
        return f"its checkpoint is gone, so what was measured with it is moved to {folder.move_aside()}"
    missing(turn.cell, folder)  # says so before the training if metrics.json is damaged
    return None


def _train_and_measure(cell: Experiment, place: Workplace, folder: RunFolder, device: torch.device, stop: Stop) -> None:
    """Train the cell from where it stands, then run the evaluators that are missing."""
    torch.set_num_threads(place.threads)
    assembly = assemble(cell, place.registry, place.data_of(cell.dataset), device)
    trainer = Trainer(assembly, folder)
    trainer.restore()
    if (threads := torch.get_num_threads()) != place.threads:
        place.say(f"  computes with {threads} thread{'s' * (threads > 1)}, as it began, and not with {place.threads}")
    write_whole(folder.experiment, dump(cell.resolved).encode())
    record = Record(folder, describe(device, plugins_of(cell, place.registry)), place.warn)
    with tracked(cell, place) as trackers:
        trackers.started(run_info(assembly, folder, trainer.step))
        if not trainer.done:
            precision = computed_in(cell.training.precision, device)
            record.add("training", precision, started=now())
            train(trainer, trackers, stop)
            record.add("training", precision, ended=now(), seconds=round(trainer.seconds, 3))
        measure(assembly, folder, missing(cell, folder), place, trackers, record)


def measure(
    assembly: Assembly,
    folder: RunFolder,
    choices: Sequence[Choice],
    place: Workplace,
    trackers: Trackers,
    record: Record,
) -> None:
    """Run these evaluators, and write down when."""
    if choices:
        record.add("measurement", started=now())
    evaluate(assembly, folder, choices, place.registry, trackers)
    if choices:
        record.add("measurement", ended=now())


def plugins_of(cell: Experiment, registry: Registry) -> set[Plugin]:
    """What stands behind the names in the experiment."""
    return {registry.find(choice.kind, choice.name) for choice in cell.choices}


@contextmanager
def tracked(cell: Experiment, place: Workplace) -> Iterator[Trackers]:
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

"""One run of an experiment: trained from where it stands, then measured."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from simssl.api import Tracker
from simssl.blocks.distributed import rank
from simssl.errors import Interrupted, RunHeld, SimsslError, code_of, lack_of_memory, line_of, one_line
from simssl.evaluation.evaluate import evaluate
from simssl.experiment.model import Choice, Experiment
from simssl.experiment.yaml12 import dump, read
from simssl.launch.status.progress import ProgressTracker
from simssl.launch.while_training import WhileTraining, tell_of_measure
from simssl.launch.workspace import Workspace
from simssl.plugin.plugin import Plugin
from simssl.plugin.registry import Registry
from simssl.store.environment import Record, describe, now, tell_of_changes
from simssl.store.folder import RunFolder
from simssl.store.metrics import missing, read_metrics
from simssl.store.progress import note_failure
from simssl.training.build import BuiltRun, build_run
from simssl.training.machine.device import computing_on
from simssl.training.machine.device_memory import give_back
from simssl.training.machine.precision import shortfall, slow_convolutions
from simssl.training.machine.spinning import Spinning, considerate_threads, policy
from simssl.training.records.trackers import Builder, Trackers, run_info
from simssl.training.stop import Stop
from simssl.training.train import train, training_recorded
from simssl.training.trainer import Trainer

PROGRESS = "the run's progress"
"""The name, among the run's trackers, of what writes progress.json. No plugin has such a name."""


@dataclass
class Outcome:
    """The end of a run, and the error if there was one."""

    folder: Path
    status: Literal["done", "already done", "failed", "held"]
    message: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class PlannedRun:
    """A run that a command is about to start, or to skip."""

    label: str
    """The words for it in messages, such as "[3/12] simclr, seed 0"."""
    experiment: Experiment
    folder: RunFolder
    fresh: bool
    """True if it starts again, whatever is there."""
    done: bool
    """True if there is nothing to do."""


def is_done(experiment: Experiment, folder: RunFolder) -> bool:
    """True if the run is trained, every evaluator of the experiment has measured it, and a table can show it.

    This needs neither its checkpoint nor its data.
    """
    try:
        if not folder.experiment.is_file():
            return False
        read(folder.experiment)
        return folder.metrics.exists() and not missing(experiment, folder)
    except (SimsslError, OSError):  # told when the run is started
        return False


def announce(run: PlannedRun, workspace: Workspace) -> None:
    """Say which run it is, and which of its plugins are not what it was made with."""
    title = f"{run.label}: {run.folder.path}"
    workspace.say(f"{title} is done already" if run.done else title)
    if run.done:
        tell_of_measure(run.experiment, run.folder, workspace)
    if not run.fresh:
        tell_of_changes(run.folder, run.experiment.choices, workspace.registry)


def start(run: PlannedRun, workspace: Workspace, device: torch.device, stop: Stop) -> Outcome:
    """Train and measure a run. An error becomes its outcome, a signal goes on up."""
    experiment, folder = run.experiment, run.folder
    try:
        with folder.locked():
            if not run.fresh and is_done(experiment, folder):  # by another process, since this one began
                workspace.say("  is done already")
                return Outcome(folder.path, "already done")
            old = make_room(run)
        if old:
            workspace.say(f"  {old}")
        with folder.locked(), computing_on(device), considerate_threads(device) as spinning:
            _train_and_measure(experiment, workspace, folder, device, stop, spinning)
        return Outcome(folder.path, "done")
    except RunHeld as error:
        workspace.warn(f"{error.holder} works on it; it comes last")
        return Outcome(folder.path, "held", str(error))
    except Interrupted:
        raise
    except BaseException as error:  # a plugin's, or ours; a signal would be Interrupted
        message = fault(error, experiment, device, workspace.registry)
        outcome = Outcome(folder.path, "failed", message, trace(error))
    finally:
        give_back()  # for the next run of this process
    note_failure(folder, outcome.message)
    workspace.warn(f"{outcome.status}: {outcome.message}")
    return outcome


def fault(error: BaseException, experiment: Experiment, device: torch.device, registry: Registry) -> str:
    """The sentence for what ended a run."""
    if isinstance(error, SimsslError):
        return str(error)
    return _without_memory(error, experiment, device) or _plugins_fault(error, experiment, registry)


def _without_memory(error: BaseException, experiment: Experiment, device: torch.device) -> str | None:
    """A sentence for a training that memory did not suffice for, with what to change; None for all other errors."""
    lack = lack_of_memory(error)
    if lack is None:
        return None
    training = experiment.training
    remedies = [f"make training.batch_views smaller (it is {training.batch_views})"]
    if device.type == "cuda" and training.precision != "bfloat16":
        remedies.append("set training.precision to bfloat16")
    return f"{lack}; {', '.join(remedies)}, or let fewer runs train at a time (--jobs)"


def _plugins_fault(error: BaseException, experiment: Experiment, registry: Registry) -> str:
    """An unexpected error in one line, with the line of the plugin that it passed."""
    plugins = [registry.load(choice.kind, choice.name) for choice in experiment.choices]
    line = ""
    if isinstance(error, TypeError):  # of a method that takes other arguments
        line = line_of(registry.load("objective", experiment.objective.name))
    return one_line(error, code_of(*plugins), line)


def trace(error: BaseException) -> str:
    """The traceback, for --debug."""
    return "".join(traceback.format_exception(error))


def make_room(run: PlannedRun) -> str | None:
    """Move an old run aside: with --fresh, or if its checkpoint is gone, so that its numbers meet no new weights."""
    folder = run.folder
    if run.fresh and not folder.empty:
        return f"the old run is moved to {folder.move_aside()}"
    measured = bool(read_metrics(folder)) or folder.features.exists()
    if measured and not folder.checkpoint.exists():
        return f"its checkpoint is gone, so what was measured with it is moved to {folder.move_aside()}"
    missing(run.experiment, folder)  # says so before the training if metrics.json is damaged
    return None


def _train_and_measure(
    experiment: Experiment,
    workspace: Workspace,
    folder: RunFolder,
    device: torch.device,
    stop: Stop,
    spinning: Spinning,
) -> None:
    """Train the run from where it stands, then run the evaluators that are missing."""
    torch.set_num_threads(workspace.threads)
    data = workspace.load_data(experiment.dataset)
    built = build_run(experiment, workspace.registry, data, device)
    trainer = Trainer(built, folder)
    trainer.restore()
    tell_of_threads(workspace)
    if not trainer.done:
        tell_of_precision(built)
    folder.write(folder.experiment, dump(experiment.resolved).encode())
    made_with = describe(device, plugins_of(experiment, workspace.registry))
    made_with |= {"jobs": workspace.jobs, "openmp": policy()}
    record = Record(folder, made_with, workspace.warn)
    progress = ProgressTracker()
    with tracked(experiment, workspace, {PROGRESS: lambda: progress}) as trackers:
        trackers.started(run_info(built, folder, trainer.step, trainer.done))
        if not trainer.done:
            measuring = WhileTraining(built, folder, workspace, trackers, progress)
            with training_recorded(record, trainer, spinning):
                train(trainer, trackers, stop, workspace.estimates, measuring)
        else:
            tell_of_measure(experiment, folder, workspace)
        del trainer  # with the images and the optimiser's state, so that evaluators have that memory
        give_back()
        measure(built, folder, missing(experiment, folder), workspace, trackers, record)


def tell_of_precision(built: BuiltRun) -> None:
    """Say so where the device has not the precision that is asked for, or has a faster one than float32."""
    experiment, device = built.experiment, built.device
    lacking = shortfall(experiment, device)
    slow = slow_convolutions(experiment.training.precision, built.objective, device) if built.steps else None
    for sentence in (lacking, slow):
        if sentence:
            logging.getLogger("simssl").warning(sentence)


def tell_of_threads(workspace: Workspace) -> None:
    """Say so where a run goes on with another number of threads than the command gives it."""
    threads = torch.get_num_threads()
    if threads != workspace.threads:
        plural = "s" if threads > 1 else ""
        workspace.say(f"  computes with {threads} thread{plural}, as it began, and not with {workspace.threads}")


def measure(
    built: BuiltRun,
    folder: RunFolder,
    choices: Sequence[Choice],
    workspace: Workspace,
    trackers: Trackers,
    record: Record,
) -> None:
    """Run these evaluators, and write down when."""
    if choices:
        record.add("measurement", started=now())
    evaluate(built, folder, choices, workspace.registry, trackers, workspace.load_data)
    if choices:
        record.add("measurement", ended=now())


def plugins_of(experiment: Experiment, registry: Registry) -> set[Plugin]:
    """The plugins that the experiment names."""
    return {registry.find(choice.kind, choice.name) for choice in experiment.choices}


@contextmanager
def tracked(experiment: Experiment, workspace: Workspace, ours: Mapping[str, Builder]) -> Iterator[Trackers]:
    """The run's trackers, and these of ours, told at the end what ended it."""
    builders = dict(ours) if rank() == 0 else {}
    for choice in experiment.trackers:
        builders[choice.label] = partial(_build_tracker, choice, workspace.registry)
    trackers = Trackers(builders, logging.getLogger("simssl").warning)
    try:
        yield trackers
    except BaseException as error:
        trackers.ended(error)
        raise
    trackers.ended(None)


def _build_tracker(choice: Choice, registry: Registry) -> Tracker:
    tracker_class = registry.load(choice.kind, choice.name)
    tracker: Tracker = tracker_class(choice.params)
    return tracker

"""All runs of an experiment file by several processes that train each run together, one run after the other.

Process 0 holds a run's folder, and reads and writes in it. The others need no folder: they may have another disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import torch

from simssl.blocks.distributed import together
from simssl.errors import Interrupted, LostProcessError, RunError, SimsslError
from simssl.evaluation.features import features_wanted, keep_features, split_of
from simssl.experiment.model import Choice, Experiment
from simssl.experiment.yaml12 import dump
from simssl.launch.changed_data import tell_of_changed_data
from simssl.launch.grid import check_all, planned_runs
from simssl.launch.run import (
    PROGRESS,
    Outcome,
    PlannedRun,
    announce,
    fault,
    make_room,
    measure,
    plugins_of,
    tell_of_precision,
    tell_of_threads,
    trace,
    tracked,
)
from simssl.launch.status.progress import ProgressTracker
from simssl.launch.together import torchrun
from simssl.launch.together.alike import facts_of_file, facts_of_run
from simssl.launch.together.processes import Processes, connected, device_here
from simssl.launch.together.stop_together import StopTogether
from simssl.launch.while_training import WhileTraining, tell_of_measure
from simssl.launch.workspace import Workspace
from simssl.store import checkpoint
from simssl.store.environment import Json, Record, describe
from simssl.store.folder import RunFolder
from simssl.store.metrics import missing
from simssl.store.progress import note_failure
from simssl.training.build import BuiltRun, build_run
from simssl.training.encode_all import encode_all
from simssl.training.machine.device import computing_on
from simssl.training.machine.device_memory import give_back
from simssl.training.machine.spinning import Spinning, considerate_threads, policy
from simssl.training.records.trackers import Trackers, run_info
from simssl.training.train import train, training_recorded
from simssl.training.trainer import Trainer


def run_together(
    experiments: Sequence[Experiment], workspace: Workspace, fresh: bool = False, only: int | None = None
) -> list[Outcome]:
    """Train and measure every run that is not done. A run that fails on all processes does not stop the others.

    `only` is the number of the one run to work on, from 1.

    LostProcessError or RunError on all processes if one of them ends; Interrupted on a signal to any of them.
    """
    begun: list[RunFolder] = []
    try:
        return _work(experiments, workspace, fresh, only, begun)
    except SimsslError as error:
        if begun and torchrun.is_first():
            note_failure(begun[-1], str(error))
        raise


def _work(
    experiments: Sequence[Experiment], workspace: Workspace, fresh: bool, only: int | None, begun: list[RunFolder]
) -> list[Outcome]:
    device = device_here(workspace.device)
    with (
        computing_on(device),
        connected(device) as processes,
        considerate_threads(device) as spinning,
        StopTogether(processes.group) as stop,
    ):
        team = Team(processes, workspace, device, stop, spinning)
        numbers = (only,) if only else range(1, len(experiments) + 1)
        runs = team.planned(numbers, experiments, fresh)
        team.check(runs)
        outcomes = []
        for number, run in enumerate(runs):
            begun.append(run.folder)
            outcomes.append(team.start(number, run))
        return outcomes


class Team:
    """What a process needs to train runs together with the others."""

    def __init__(
        self,
        processes: Processes,
        workspace: Workspace,
        device: torch.device,
        stop: StopTogether,
        spinning: Spinning,
    ) -> None:
        self.processes = processes
        self.workspace = workspace
        self.device = device
        self.stop = stop
        self.spinning = spinning
        self.is_first = processes.rank == 0

    # --- before anything is trained -------------------------------------------------------------------

    def planned(self, numbers: Sequence[int], experiments: Sequence[Experiment], fresh: bool) -> list[PlannedRun]:
        """The runs of these numbers, and whether they are done: in the folders of process 0."""
        self.processes.require_alike(facts_of_file(numbers, experiments))
        runs = planned_runs(numbers, experiments, self.workspace, fresh)
        all_done = self.processes.from_first(lambda: [run.done for run in runs])
        return [replace(run, done=done) for run, done in zip(runs, all_done, strict=True)]

    def check(self, runs: Sequence[PlannedRun]) -> None:
        """Build every run once, so that what cannot work, or will be skipped, is said before anything is trained."""
        experiments = [run.experiment for run in runs if not run.done]
        choices = [choice for each in experiments for choice in each.datasets]
        for choice in {repr(choice.resolved): choice for choice in choices}.values():
            self._load(choice)
        with together(self.processes.group):
            check_all(experiments, self.workspace, self.device)
        if self.is_first:
            tell_of_changed_data(runs, self.workspace)

    def _load(self, choice: Choice) -> None:
        """Load the data set, the first process of each host first: it may have to be decoded there."""
        if torchrun.number_on_its_host() == 0:
            self.workspace.load_data(choice)
        self.processes.wait()
        self.workspace.load_data(choice)

    # --- a run ----------------------------------------------------------------------------------------

    def start(self, number: int, run: PlannedRun) -> Outcome:
        """Train and measure a run. An error of all processes becomes its outcome; one of a single process goes up."""
        if self.is_first:
            announce(run, self.workspace)
        if run.done:
            return Outcome(run.folder.path, "already done")
        try:
            with self._held(run):
                self._train_and_measure(run)
            return Outcome(run.folder.path, "done")
        except (LostProcessError, Interrupted):
            raise
        except BaseException as error:
            message = fault(error, run.experiment, self.device, self.workspace.registry)
            if not self.processes.all_failed(number, message):
                raise RunError(message) from error
            outcome = Outcome(run.folder.path, "failed", message, trace(error))
        finally:
            give_back()
        if self.is_first:
            note_failure(run.folder, outcome.message)
        self.workspace.warn(f"failed: {outcome.message}")
        return outcome

    @contextmanager
    def _held(self, run: PlannedRun) -> Iterator[None]:
        """Have process 0 hold the run's folder."""
        with ExitStack() as held:

            def hold() -> None:
                with run.folder.locked():
                    old = make_room(run)
                if old:
                    self.workspace.say(f"  {old}")
                held.enter_context(run.folder.locked())

            self.processes.from_first(hold)
            yield

    def _train_and_measure(self, run: PlannedRun) -> None:
        experiment, folder, workspace = run.experiment, run.folder, self.workspace
        torch.set_num_threads(workspace.threads)
        data = workspace.load_data(experiment.dataset)
        made_with = describe(self.device, plugins_of(experiment, workspace.registry))
        self.processes.require_alike(facts_of_run(data, made_with))
        with together(self.processes.group):
            built = build_run(experiment, workspace.registry, data, self.device)
            trainer = Trainer(built, folder)
        content = self.processes.from_first(lambda: checkpoint.content_of(folder.checkpoint))
        if content is not None:
            state = checkpoint.state_in(content, folder.checkpoint, experiment.digest)
            with together(self.processes.group):
                trainer.take_up(state)
        if self.is_first:
            tell_of_threads(workspace)
            if not trainer.done:
                tell_of_precision(built)
            folder.write(folder.experiment, dump(experiment.resolved).encode())
        record = self._record(run, made_with)
        progress = ProgressTracker()
        with self._tracked(experiment, progress) as trackers:
            trackers.started(run_info(built, folder, trainer.step, trainer.done))
            if not trainer.done:
                self._train(trainer, trackers, record, progress)
            elif self.is_first:
                tell_of_measure(experiment, folder, workspace)
            del trainer
            give_back()
            self._measure(built, run, trackers, record)

    def _record(self, run: PlannedRun, made_with: Json) -> Record | None:
        """The run's record, which process 0 writes."""
        if not self.is_first:
            return None
        made_with |= {"processes": self.processes.size, "jobs": 1, "openmp": policy()}
        return Record(run.folder, made_with, self.workspace.warn)

    @contextmanager
    def _tracked(self, experiment: Experiment, progress: ProgressTracker) -> Iterator[Trackers]:
        if not self.is_first:
            yield Trackers({}, self.workspace.warn)
            return
        with tracked(experiment, self.workspace, {PROGRESS: lambda: progress}) as trackers:
            yield trackers

    def _train(self, trainer: Trainer, trackers: Trackers, record: Record | None, progress: ProgressTracker) -> None:
        measuring = WhileTraining(trainer.built, trainer.folder, self.workspace, trackers, progress)

        def alone(step: int) -> float | None:
            with together(None):
                return measuring(step)

        recorded = training_recorded(record, trainer, self.spinning) if record else nullcontext()
        estimates = self.workspace.estimates if self.is_first else None
        with recorded, together(self.processes.group):
            train(trainer, trackers, self.stop, estimates, lambda step: self.processes.from_first(partial(alone, step)))

    def _measure(self, built: BuiltRun, run: PlannedRun, trackers: Trackers, record: Record | None) -> None:
        """Encode the images together, and measure on process 0. The others wait, and fail with it."""
        experiment, folder = run.experiment, run.folder
        choices = missing(experiment, folder) if self.is_first else ()
        for split in self.processes.from_first(lambda: features_wanted(built, folder, choices)):
            with together(self.processes.group):
                z_ND = encode_all(built, split_of(built.data, split).images)
            self.processes.from_first(partial(keep_features, built, folder, split, z_ND))

        def on_first() -> None:
            assert record is not None
            measure(built, folder, choices, self.workspace, trackers, record)

        self.processes.from_first(on_first)

"""All runs of a file as tasks of a cluster, through submitit. Each is resubmitted until it is done."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from simssl.errors import RunError, RunHeld
from simssl.experiment.model import Experiment
from simssl.launch.cluster.executor import Request, check_request, executor_for
from simssl.launch.cluster.job_folder import new_job_folder
from simssl.launch.cluster.task import OneRun
from simssl.launch.grid import check_all
from simssl.launch.status.status import RunStatus, status_of, with_queue
from simssl.launch.workspace import Workspace
from simssl.store.folder import RunFolder
from simssl.store.progress import Job, Progress, progress_now, read_progress, write_progress

if TYPE_CHECKING:
    from submitit.core.core import PicklingExecutor

RUNS = Path("runs")
"""The folder of the runs that commands look in by themselves."""
ARRAY = 1_000
"""Most tasks of an array. Slurm takes 1,001 unless it is set up otherwise."""


@dataclass(frozen=True)
class Command:
    """The command that was given, as its tasks repeat it."""

    file: Path
    settings: Sequence[str] = ()
    seed: int | None = None
    fresh: bool = False
    only: int | None = None
    experiments: Sequence[Experiment] = field(default_factory=tuple)


@dataclass(frozen=True)
class Submission:
    """What the runs of a command are submitted with."""

    command: Command
    workspace: Workspace
    request: Request
    folder: Path
    """The folder of submitit's files."""
    executor: PicklingExecutor


def submit(command: Command, workspace: Workspace, request: Request) -> None:
    """Submit a task for each run that is neither done nor worked on nor queued, and say what was submitted.

    UserError before that if something is wrong with a run, with the request, or there is no such cluster.
    """
    check_request(request)
    folders = [workspace.folder(experiment) for experiment in command.experiments]
    statuses = with_queue([status_of(folder.path, _asked(run)) for folder, run in _pairs(folders, command)])
    numbers = range(1, len(folders) + 1) if command.only is None else (command.only,)
    leave_alone = ("running", "queued") if command.fresh else ("running", "queued", "done")
    chosen = [number for number in numbers if statuses[number - 1].state not in leave_alone]
    _tell_of_others([statuses[number - 1] for number in numbers], leave_alone, workspace)
    if not chosen:
        return
    check_all([command.experiments[number - 1] for number in chosen], workspace, torch.device("cpu"))
    folder = new_job_folder(command.experiments[0].name, command.file)
    executor = executor_for(folder, command.experiments[0].name, request)
    submission = Submission(command, workspace, request, folder, executor)
    for begin in range(0, len(chosen), ARRAY):
        part = {number: folders[number - 1] for number in chosen[begin : begin + ARRAY]}
        _submit(part, submission)
    workspace.say(f"`{_status(command, workspace)}` shows them; their logs, and submitit's pickles: {folder}")


def _status(command: Command, workspace: Workspace) -> str:
    """The command that shows the runs of this one."""
    words = ["simssl", "status", str(command.file)]
    for setting in command.settings:
        words += ["-s", setting]
    if command.seed is not None:
        words += ["--seed", str(command.seed)]
    if workspace.runs != RUNS:
        words += ["--runs", str(workspace.runs)]
    for path in workspace.registry.files:
        words += ["--plugin", str(path)]
    return shlex.join(words)


def _pairs(folders: Sequence[RunFolder], command: Command) -> zip[tuple[RunFolder, Experiment]]:
    return zip(folders, command.experiments, strict=True)


def _asked(experiment: Experiment) -> list[Mapping[str, Any]]:
    return [choice.resolved for choice in experiment.evaluators]


def _tell_of_others(statuses: Sequence[RunStatus], states: Sequence[str], workspace: Workspace) -> None:
    for state in states:
        count = sum(status.state == state for status in statuses)
        if count:
            verb = "is" if count == 1 else "are"
            workspace.say(f"{count:,} of {len(statuses):,} {verb} {state} already")


def _submit(folders: Mapping[int, RunFolder], submission: Submission) -> None:
    """Submit runs, folders by number, as one array, and write down in their folders that they are queued."""
    command, workspace, cluster = submission.command, submission.workspace, submission.request.cluster
    before = [_make_ready(folder, command, workspace) for folder in folders.values()]
    jobs = []
    try:
        with _outside_of_tasks(), submission.executor.batch():
            for number, folder in folders.items():
                jobs.append(submission.executor.submit(_task(number, folder, submission)))
    except (RuntimeError, OSError) as error:
        raise RunError(f"{cluster} has not taken the runs: {' '.join(str(error).split())}") from error
    for folder, record, job in zip(folders.values(), before, jobs, strict=True):
        _note_queued(folder, record, Job(cluster=cluster, number=job.job_id))
    runs = "1 run is" if len(jobs) == 1 else f"{len(jobs):,} runs are"
    first = jobs[0].job_id.partition("_")[0]
    workspace.say(f"{runs} submitted to {cluster} as job {first}")


@contextmanager
def _outside_of_tasks() -> Iterator[None]:
    """Hide the variables of a task that the command is given in. Where Slurm's configuration is stays known."""
    from submitit.helpers import clean_env

    configuration = os.environ.get("SLURM_CONF")
    with clean_env():
        if configuration is not None:
            os.environ["SLURM_CONF"] = configuration
        yield


def _make_ready(folder: RunFolder, command: Command, workspace: Workspace) -> Progress | None:
    """Move an old run aside with --fresh. Return the record of the run."""
    if command.fresh:
        with folder.locked():
            old = None if folder.empty else folder.move_aside()
        if old:
            workspace.say(f"the old run is moved to {old}")
        folder.create()
    with suppress(RunError):
        return read_progress(folder)
    return None


def _note_queued(folder: RunFolder, before: Progress | None, job: Job) -> None:
    """Write down that the run is queued, unless its task has begun already."""
    with suppress(RunHeld), folder.locked():
        now = None
        with suppress(RunError):
            now = read_progress(folder)
        if now == before:
            steps = {"step": now.step, "steps": now.steps} if now else {}
            write_progress(folder, progress_now("queued", job=job, **steps))


def _task(number: int, folder: RunFolder, submission: Submission) -> OneRun:
    """The task of a run: the command that was given, for this run alone, and with the copy of its file."""
    command, workspace, request = submission.command, submission.workspace, submission.request
    registry = workspace.registry
    words = [sys.executable, "-m", "simssl"]
    words += ["--no-plugins"] if registry.builtins_only else []
    file = submission.folder / command.file.name
    words += ["run", str(file), "--only", str(number), "--jobs", "1", "--device", workspace.device]
    words += ["--data", str(workspace.data.absolute()), "--runs", str(workspace.runs.absolute())]
    for setting in command.settings:
        words += ["--set", setting]
    if command.seed is not None:
        words += ["--seed", str(command.seed)]
    for path in registry.files:
        words += ["--plugin", str(path.resolve())]
    several = request.nodes * request.processes > 1
    return OneRun(tuple(words), folder.path.absolute(), request.cluster, several)

"""What every run of a grid is doing, as its folder and the cluster's queue tell it. Nothing here loads torch."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from simssl.errors import RunError, SimsslError, UserError
from simssl.experiment.outline import outlines
from simssl.experiment.yaml12 import read
from simssl.launch.cluster.queue import in_queue
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.store.metrics import evaluators_of
from simssl.store.progress import Progress, fits, read_progress, stamp_of

FRESH = 60.0
"""Seconds for which a record of another machine is believed: on some network file systems its lock is not seen."""

FILES = {".lock", "experiment.yaml", "metrics.json", "progress.json"}
"""A folder with one of these files is a run's."""

NAME = re.compile(r"(?P<objective>.+)-seed(?P<seed>[0-9]{1,19})-[0-9a-f]{8}")
HOLDER = re.compile(r"process [0-9]+ on (?P<host>\S+) since (?P<since>[-0-9]{10} [:0-9]{8})")

State = Literal["waiting", "queued", "running", "stopped", "failed", "done"]
STATES: tuple[State, ...] = ("done", "running", "failed", "stopped", "queued", "waiting")

Asked = Sequence[Mapping[str, Any]]
"""The evaluators that a run's file asks for, as they are written."""


@dataclass(frozen=True)
class RunStatus:
    """What a run is doing. Times are seconds since 1970."""

    folder: Path
    state: State
    number: int | None = None
    """Its number in the file's grid, which `--only` takes."""
    host: str | None = None
    """The machine that works on it, or worked on it last."""
    since: float | None = None
    step: int = 0
    steps: int = 0
    ends: float | None = None
    """The time at which its training will end, estimated from the recent speed."""
    job: str | None = None
    message: str = ""
    measuring: bool = False

    @property
    def experiment(self) -> str:
        return self.folder.parent.name

    @property
    def named(self) -> re.Match[str] | None:
        """Objective and seed, which the folder's name holds."""
        return NAME.fullmatch(self.folder.name)


def status(
    paths: Sequence[Path], below: Path, registry: Registry, settings: Sequence[str] = (), seed: int | None = None
) -> list[RunStatus]:
    """Return the status of the runs in these folders, and of those of experiment files, which lie in `below`.

    UserError if a path is not there, or there is no run.
    """
    statuses: list[RunStatus] = []
    for path in paths:
        if path.is_dir():
            statuses += [status_of(folder) for folder in folders_in(path)]
            continue
        runs = outlines(path, registry, settings, seed)
        for number, run in enumerate(runs, 1):
            statuses.append(replace(status_of(below / run.folder, run.evaluators), number=number))
    if not statuses:
        raise UserError(f"no run was found in {', '.join(map(str, paths))}")
    return with_queue(statuses)


def folders_in(path: Path) -> list[Path]:
    """Return the folders of the runs at or below a folder, through links too. Hidden folders are passed over."""
    folders: list[str] = []
    seen: set[str] = set()
    to_visit = [str(path)]
    while to_visit:
        folder = to_visit.pop()
        with suppress(OSError), os.scandir(folder) as entries:
            inner = {entry.name: entry for entry in entries}
            if not FILES.isdisjoint(inner):
                folders.append(folder)
                continue
            real = os.path.realpath(folder)
            if real not in seen:
                seen.add(real)
                to_visit += [entry.path for name, entry in inner.items() if name[0] != "." and entry.is_dir()]
    return list(map(Path, sorted(folders)))


def status_of(path: Path, asked: Asked | None = None) -> RunStatus:
    """Return what the run in a folder is doing. It is done if these evaluators have measured it: its own file's."""
    folder = RunFolder(path)
    progress, message = _recorded(folder)
    seen = _seen(path, progress)
    holder = folder.holder()
    if holder is not None:
        return _held(seen, progress, holder)
    if progress and progress.state == "running" and _works_elsewhere(folder, progress):
        return replace(seen, state="running")
    try:
        if _is_done(folder, progress, asked):
            return replace(seen, state="done", ends=None, message="")
    except SimsslError as error:
        message = str(error)
    if message:
        return replace(seen, message=message)
    if progress and progress.state == "done":  # and more is asked for by now
        return replace(seen, state="waiting", message="trained, and not measured with all evaluators")
    return seen


def _recorded(folder: RunFolder) -> tuple[Progress | None, str]:
    """The run's record, and what is wrong with it."""
    try:
        return read_progress(folder), ""
    except RunError as error:
        return None, str(error)


def _seen(path: Path, progress: Progress | None) -> RunStatus:
    """The status of a run that nobody works on, as its record tells it."""
    if progress is None:
        begun = (path / "checkpoint.pt").exists()
        return RunStatus(path, "stopped" if begun else "waiting")
    return RunStatus(
        path,
        "stopped" if progress.state == "running" else progress.state,
        host=progress.host,
        since=progress.since,
        step=progress.step,
        steps=progress.steps,
        ends=progress.ends if progress.state == "running" else None,
        job=f"{progress.job.cluster} {progress.job.number}" if progress.job else None,
        message=progress.message,
        measuring=progress.measuring and progress.state == "running",
    )


def _held(seen: RunStatus, progress: Progress | None, holder: str) -> RunStatus:
    """The status of a run that a process of this machine, or of one whose locks are seen, works on."""
    if progress and progress.state == "running":
        return replace(seen, state="running")
    signed = HOLDER.match(holder)
    host, since = None, None
    if signed:
        host = signed["host"]
        with suppress(ValueError, OverflowError):
            since = time.mktime(time.strptime(signed["since"], "%Y-%m-%d %H:%M:%S"))
    return replace(seen, state="running", host=host, since=since, ends=None, message="")


def _works_elsewhere(folder: RunFolder, progress: Progress) -> bool:
    """True if another machine has written the record just now."""
    if progress.host == socket.gethostname():
        return False
    try:
        age = time.time() - os.stat(folder.progress).st_mtime
    except OSError:
        return False
    return age < FRESH


def _is_done(folder: RunFolder, progress: Progress | None, asked: Asked | None) -> bool:
    """True if all evaluators that are asked for have measured the run. RunError if its files are damaged."""
    stamp = stamp_of(folder)
    if stamp is None or not folder.experiment.is_file():
        return False
    modified, _ = stamp
    unfinished = progress and progress.state in ("running", "stopped", "failed")
    if progress and unfinished and modified < progress.at * 1e9:  # what is there was there then
        return False
    if progress and progress.state == "done" and progress.stamp == stamp:
        measured = progress.evaluators
        if asked is None:
            return True
    else:
        measured = evaluators_of(folder)
        own = _evaluators_in(folder)
        asked = own if asked is None else [_filled_in(evaluator, own) for evaluator in asked]
    return all(any(_is(one, other) for other in measured) for one in asked)


def _filled_in(evaluator: Mapping[str, Any], own: Asked) -> Mapping[str, Any]:
    """The evaluator with the parameters that it had when the run began; as it is written if there was none such."""
    for other in own:
        if _is(evaluator, other):
            return other
    return evaluator


def _is(asked: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """True if an evaluator that is asked for is this one, whose parameters are all filled in."""
    return _label(asked) == _label(other) and fits(asked, other)


def _label(evaluator: Mapping[str, Any]) -> Any:
    return evaluator.get("as", evaluator.get("name"))


def _evaluators_in(folder: RunFolder) -> Asked:
    """The evaluators of the run's own file."""
    evaluators = read(folder.experiment).tree.get("evaluators")
    if not isinstance(evaluators, list) or not all(isinstance(evaluator, dict) for evaluator in evaluators):
        raise RunError(f"{folder.experiment} is damaged: evaluators is missing or no run's")
    return evaluators


def with_queue(runs: Sequence[RunStatus]) -> list[RunStatus]:
    """The runs, where those whose job is in its cluster's queue are queued, and no others."""
    unfinished = [(run.job, run.host or "") for run in runs if run.job and run.state in ("queued", "stopped")]
    waiting_there = in_queue(unfinished)
    return [_queued_or_not(run, waiting_there) for run in runs]


def _queued_or_not(run: RunStatus, waiting_there: Mapping[str, bool | None]) -> RunStatus:
    there = waiting_there.get(run.job or "")
    if run.job and there and run.state in ("queued", "stopped"):
        return replace(run, state="queued", host=None, since=None)
    if run.state != "queued":
        return run
    if there is None:
        return replace(run, message="the queue cannot be asked here", host=None)
    return replace(run, state="waiting", job=None, host=None, since=None, message=f"{run.job} is not queued any more")

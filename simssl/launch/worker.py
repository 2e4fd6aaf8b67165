"""A worker: a process that is handed runs, one after the other, and says what became of each.

All that it prints goes to the process above it, which puts the run's label before each line. Importing this module
loads nothing heavy, because the number of OpenMP's threads and the device have to be set before torch is loaded.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simssl.errors import Interrupted, RunError, SimsslError, one_line
from simssl.launch.streams import hold_open
from simssl.launch.warned import log_warnings
from simssl.plugin.plugin import Plugin
from simssl.plugin.registry import Registry
from simssl.training.stop import Stop, StopOnce

if TYPE_CHECKING:
    from simssl.launch.run import Outcome, PlannedRun
    from simssl.launch.workspace import Workspace

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""The signals on which a worker saves its run's state and ends."""


@dataclass(frozen=True)
class Setup:
    """The settings of a worker. Only the device that it sees differs between the workers of a command."""

    builtins_only: bool
    files: tuple[Path, ...]
    runs: Path
    data: Path
    device: str
    threads: int
    jobs: int = 1
    visible: str | None = None
    """The one CUDA device that it sees, as CUDA_VISIBLE_DEVICES names it; None if it sees those of the command."""


@dataclass(frozen=True)
class Task:
    """A run in plain values, which can be sent to a process that has not loaded its plugins."""

    label: str
    folder: Path
    resolved: Mapping[str, Any]
    written: Mapping[str, Any]
    plugins: frozenset[Plugin]
    fresh: bool


@dataclass(frozen=True)
class Told:
    """A message to the logger "simssl", from a plugin or from simssl."""

    level: int
    text: str


def main(setup: Setup, channel: Connection, output: Connection) -> None:
    """Work on the runs that come over the channel, until it is closed or a signal arrives.

    Signals have to be blocked when the process starts.
    """
    _print_to(output)
    os.environ["OMP_NUM_THREADS"] = str(setup.threads)
    if setup.visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = setup.visible
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    try:
        with StopOnce() as stop:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            threading.Thread(target=_listen, args=(channel, tasks), daemon=True).start()
            _report_what_is_logged(channel)
            workspace = _workspace(setup)
            while True:
                task = tasks.get()
                channel.send(_outcome(task, workspace, stop))
    except Interrupted as error:
        sys.exit(error.exit_code)


def _print_to(output: Connection) -> None:
    """Send everything that is printed to the process above, in plain lines."""
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    output.close()
    hold_open()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.pop("FORCE_COLOR", None)  # rich would take the pipe for a terminal
    os.environ["TTY_COMPATIBLE"] = "0"


def _listen(channel: Connection, tasks: queue.SimpleQueue[Task]) -> None:
    """Pass on the tasks that come. When nobody is left at the other end, stop as on a signal: the state is saved."""
    with suppress(EOFError, OSError):
        while True:
            tasks.put(channel.recv())
    os.kill(os.getpid(), signal.SIGTERM)


def _report_what_is_logged(channel: Connection) -> None:
    """Send what is logged, and Python's warnings, to the process above."""

    class Report(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with suppress(OSError):
                channel.send(Told(record.levelno, record.getMessage()))

    logger = logging.getLogger("simssl")
    logger.setLevel(logging.INFO)
    logger.addHandler(Report())
    log_warnings()


def _workspace(setup: Setup) -> Workspace:
    from simssl.launch.workspace import Workspace

    return Workspace(
        registry=Registry(setup.builtins_only, setup.files),
        runs=setup.runs,
        data=setup.data,
        device=setup.device,
        say=_say,
        warn=_warn,
        threads=setup.threads,
        jobs=setup.jobs,
    )


def _warn(text: str) -> None:
    _say(f"  {text}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _outcome(task: Task, workspace: Workspace, stop: Stop) -> Outcome:
    """Train and measure a run, and return what became of it."""
    from simssl.launch.run import Outcome, start, trace
    from simssl.store.folder import RunFolder
    from simssl.store.progress import note_failure
    from simssl.training.machine.device import choose_device

    try:
        run = _planned(task, workspace)
        device = choose_device(workspace.device)
        return start(run, workspace, device, stop)
    except Interrupted as error:
        workspace.warn(str(error))
        raise
    except BaseException as error:  # the run cannot be planned here, as it could in the process above
        message = str(error) if isinstance(error, SimsslError) else one_line(error)
        note_failure(RunFolder(task.folder), message)
        workspace.warn(f"failed: {message}")
        return Outcome(task.folder, "failed", message, trace(error))


def _planned(task: Task, workspace: Workspace) -> PlannedRun:
    """Return the run of a task. RunError if one of its plugins is another one here than in the process above."""
    from simssl.experiment.config import restored
    from simssl.launch.run import PlannedRun, plugins_of

    experiment = restored(task.resolved, task.written, workspace.registry)
    for plugin in plugins_of(experiment, workspace.registry) - task.plugins:
        raise RunError(f"{plugin.kind} '{plugin.name}' has changed since the command was given: now {plugin.source}")
    folder = workspace.folder(experiment)
    return PlannedRun(task.label, experiment, folder, task.fresh, done=False)

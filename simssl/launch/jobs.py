"""Runs side by side: worker processes on this machine, each with its share of the threads, and what they say."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait

from simssl.errors import Interrupted
from simssl.launch import worker
from simssl.launch.run import Outcome, PlannedRun, announce, plugins_of
from simssl.launch.worker import SIGNALS, Setup, Task, Told
from simssl.launch.workspace import Say, Workspace
from simssl.plugin.registry import Registry
from simssl.training.stop import Stop

SECONDS = 0.2
"""Longest until a signal is passed on, or the sudden end of a worker is noticed."""

SAVED = tuple(128 + signum for signum in SIGNALS)
"""Exit codes of a worker that has saved the state on a signal."""

PATIENCE = 10.0
"""Seconds in which a worker that is let go has to end."""


def side_by_side(runs: Sequence[PlannedRun], workspace: Workspace, jobs: int, stop: Stop) -> list[Outcome]:
    """Work on the runs that are not done, this many at a time. One that fails, or whose process is killed, does not
    stop the others.

    Interrupted on a signal, when what is under way is saved; on a second one at once.
    """
    setup = share(workspace, jobs)
    if not all(run.done for run in runs):
        workspace.say(f"{jobs} runs at a time, with {setup.threads} thread{'s' * (setup.threads > 1)} each")
    workspace.forget_data()  # each worker has its own
    for run in runs:
        if run.done:
            announce(run, workspace)
    outcomes = [Outcome(run.folder.path, "already done") if run.done else None for run in runs]
    waiting = deque(number for number, run in enumerate(runs) if not run.done)
    team: list[Job] = []
    try:
        with stop.deferred():
            while True:
                while waiting and stop.signum is None and (job := _free(team, jobs, setup, workspace.say)):
                    number = waiting.popleft()
                    announce(runs[number], workspace)
                    job.begin(number, runs[number], workspace.registry)
                busy = [job for job in team if job.busy]
                if not busy:
                    break
                _attend(busy, outcomes, stop)
                for job in team if not waiting else ():
                    if not job.busy:
                        job.leave()
    except Interrupted:
        for job in team:
            job.kill()
        raise
    finally:
        for job in team:
            job.end()
    found = [outcome for outcome in outcomes if outcome]
    assert len(found) == len(runs), "a run has no outcome"
    return found


def share(workspace: Workspace, jobs: int) -> Setup:
    """What each of so many workers is to use."""
    registry = workspace.registry
    files = tuple(path.resolve() for path in registry.files)
    threads = max(1, workspace.threads // jobs)
    return Setup(registry.builtins_only, files, workspace.runs, workspace.data, workspace.device, threads)


def _free(team: list[Job], jobs: int, setup: Setup, say: Say) -> Job | None:
    """A worker without work, a new one if there are too few; None if all are at work."""
    team[:] = [job for job in team if job.busy or job.alive]
    if free := [job for job in team if not job.busy]:
        return free[0]
    if len(team) == jobs:
        return None
    team.append(Job(setup, say))
    return team[-1]


def _attend(busy: Sequence[Job], outcomes: list[Outcome | None], stop: Stop) -> None:
    """Wait for what the workers say, and pass it on; pass on a signal to them."""
    if stop.signum is not None:
        for job in busy:
            job.signal(stop.signum)
    wait([stream for job in busy for stream in job.streams], SECONDS)
    for job in busy:
        if outcome := job.outcome():
            outcomes[job.number] = outcome


class Job:
    """A worker, as it is seen from above."""

    def __init__(self, setup: Setup, say: Say) -> None:
        context = multiprocessing.get_context("spawn")
        self._channel, channel = context.Pipe()
        self._output, output = context.Pipe(duplex=False)
        os.set_blocking(self._output.fileno(), False)
        self._process = context.Process(target=worker.main, args=(setup, channel, output))
        with _signals_blocked():
            self._process.start()
        channel.close()
        output.close()
        self._say, self._line = say, b""
        self.busy = self._signalled = False
        self.number = 0
        """Of its run, the last one if it has none."""

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    @property
    def streams(self) -> tuple[Connection, Connection]:
        """What can be waited for."""
        return self._channel, self._output

    def begin(self, number: int, run: PlannedRun, registry: Registry) -> None:
        """Hand it a experiment."""
        self.busy, self.number, self._run = True, number, run
        experiment, plugins = run.experiment, frozenset(plugins_of(run.experiment, registry))
        task = Task(run.label, run.folder.path, experiment.resolved, dict(experiment.written), plugins, run.fresh)
        with suppress(OSError):  # it has ended already, which is told as that of any worker
            self._channel.send(task)

    def outcome(self) -> Outcome | None:
        """Pass on what it says; what became of the run, as soon as that is known."""
        alive, found = self.alive, None
        with suppress(EOFError, OSError):
            while found is None and self._channel.poll():
                found = self._received()
        self._pass_on_lines(at_end=found is not None or not alive)
        if found is None and not alive:
            reason = f"its process {_end(self._process.exitcode)}; the same command (without --fresh) goes on with it"
            found = Outcome(self._run.folder.path, "failed", reason)
            if not (self._signalled and self._process.exitcode in SAVED):
                self._tell(f"failed: {reason}")
        self.busy = found is None
        return found

    def _received(self) -> Outcome | None:
        message = self._channel.recv()
        if isinstance(message, Outcome):
            return message
        assert isinstance(message, Told)
        logging.getLogger("simssl").log(message.level, message.text)
        return None

    def _pass_on_lines(self, at_end: bool) -> None:
        with suppress(BlockingIOError):
            while content := os.read(self._output.fileno(), 1 << 16):
                self._line += content
        *lines, self._line = (self._line + b"\n" * at_end).split(b"\n")
        for line in lines:
            last = line.rstrip().rpartition(b"\r")[2]  # of a bar that is drawn over and over
            if last:
                self._tell(last.decode(errors="replace").removeprefix("  "))

    def _tell(self, text: str) -> None:
        self._say(f"{self._run.label}: {text}")

    def signal(self, signum: int) -> None:
        """Pass a signal on; the run's state is saved, and the worker ends."""
        self._signalled = True
        assert self._process.pid
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signum)

    def kill(self) -> None:
        self._process.kill()

    def leave(self) -> None:
        """Let it go: a worker ends when nobody is left at the other end, and saves its run before."""
        self._channel.close()
        self._output.close()

    def end(self) -> None:
        """Wait until it has ended."""
        self.leave()
        self._process.join(PATIENCE)
        self._process.kill()
        self._process.join()


def _end(code: int | None) -> str:
    if code is not None and code < 0:
        memory = ", as it is when memory runs out" if code == -signal.SIGKILL else ""
        return f"was ended by signal {-code} ({signal.strsignal(-code)}{memory})"
    return f"ended with exit code {code}"


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Signals arrive afterwards; what is started here begins with them blocked."""
    resource_tracker.ensure_running()  # which would be started here, and unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

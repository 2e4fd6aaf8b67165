"""A job: a worker process, as the process above it sees it. It can take up one run after the other."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection

from simssl.launch import worker
from simssl.launch.run import Outcome, PlannedRun, plugins_of
from simssl.launch.worker import SIGNALS, Setup, Task, Told
from simssl.launch.workspace import Say
from simssl.plugin.registry import Registry
from simssl.store.progress import note_failure

SAVED = (*(128 + signum for signum in SIGNALS), *(-signum for signum in SIGNALS))
"""The exit codes of a worker that has saved its run's state on a signal, and of one that came again at its end."""

PATIENCE = 10.0
"""The seconds within which a worker has to end once it is let go."""


class Job:
    """A worker process, as the process above it sees it."""

    def __init__(self, setup: Setup, say: Say) -> None:
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        self._channel, channel = context.Pipe()
        self._output, output = context.Pipe(duplex=False)
        os.set_blocking(self._output.fileno(), False)
        self._process = context.Process(target=worker.main, args=(setup, channel, output))
        with _signals_blocked():
            self._process.start()
        channel.close()
        output.close()
        self.setup = setup
        self._say = say
        self._line = b""
        """The beginning of a line of its output whose end has not come yet."""
        self._signalled = False
        self.busy = False
        """True while it has a run."""
        self.number = 0
        """The number of its run, or of the last one it had."""

    @property
    def alive(self) -> bool:
        """True while its process has not ended."""
        return self._process.is_alive()

    @property
    def streams(self) -> tuple[Connection, Connection]:
        """The connections on which something comes when the worker has something to say."""
        return self._channel, self._output

    def begin(self, number: int, run: PlannedRun, registry: Registry) -> None:
        """Hand it a run."""
        self.busy = True
        self.number = number
        self._run = run
        experiment = run.experiment
        task = Task(
            label=run.label,
            folder=run.folder.path,
            resolved=experiment.resolved,
            written=dict(experiment.written),
            plugins=frozenset(plugins_of(experiment, registry)),
            fresh=run.fresh,
        )
        with suppress(OSError):  # its process has ended already, which `outcome` will notice
            self._channel.send(task)

    def outcome(self) -> Outcome | None:
        """Pass on what it says. Return what became of its run, or None as long as that is not known."""
        alive = self.alive  # before the rest is read: what it said at its end is there then
        outcome: Outcome | None = None
        with suppress(EOFError, OSError):
            while outcome is None and self._channel.poll():
                outcome = self._received()
        self._pass_on_lines(at_end=outcome is not None or not alive)
        if outcome is None and not alive:
            outcome = self._ended_without_outcome()
        self.busy = outcome is None
        return outcome

    def _ended_without_outcome(self) -> Outcome:
        code = self._process.exitcode
        reason = f"its process {_end(code)}; the same command (without --fresh) goes on with it"
        saved = self._signalled and code in SAVED
        if not saved:
            note_failure(self._run.folder, reason)
            self._tell(f"failed: {reason}")
        return Outcome(self._run.folder.path, "failed", reason)

    def _received(self) -> Outcome | None:
        """Receive one message: an outcome, or something for the logger, which is passed on."""
        message = self._channel.recv()
        if isinstance(message, Outcome):
            return message
        assert isinstance(message, Told)
        logging.getLogger("simssl").log(message.level, message.text)
        return None

    def _pass_on_lines(self, at_end: bool) -> None:
        """Tell the lines of its output that are complete, at the end also the last one that is not."""
        with suppress(BlockingIOError):
            while content := os.read(self._output.fileno(), 1 << 16):
                self._line += content
        if at_end:
            self._line += b"\n"
        *lines, self._line = self._line.split(b"\n")
        for line in lines:
            last_drawn = line.rstrip().rpartition(b"\r")[2]  # a progress bar is drawn over and over in one line
            if last_drawn:
                text = last_drawn.decode(errors="replace")
                self._tell(text.removeprefix("  "))

    def _tell(self, text: str) -> None:
        self._say(f"{self._run.label}: {text}")

    def signal(self, signum: int) -> None:
        """Pass a signal on to it. It saves its run's state and ends."""
        self._signalled = True
        assert self._process.pid
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signum)

    def kill(self) -> None:
        """End its process at once."""
        self._process.kill()

    def leave(self) -> None:
        """Let it go. A worker ends when nobody is left at the other end, and saves its run before."""
        self._channel.close()
        self._output.close()

    def end(self) -> None:
        """Let it go, and wait until its process has ended."""
        self.leave()
        self._process.join(PATIENCE)
        self._process.kill()
        self._process.join()


def _end(code: int | None) -> str:
    """The words for how a process ended."""
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    memory = ", as it is when memory runs out" if code == -signal.SIGKILL else ""
    return f"was ended by signal {-code} ({signal.strsignal(-code)}{memory})"


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Hold signals back. They arrive afterwards, and a process that is started meanwhile begins with them blocked."""
    resource_tracker.ensure_running()  # started within, it would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

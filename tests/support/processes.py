"""`simssl ...` in processes of their own, forked from one that has imported what takes seconds."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import sys
import tempfile
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

FORK = multiprocessing.get_context("forkserver")
# torch._dynamo: torch's optimisers import it when they are built
FORK.set_forkserver_preload(
    ["simssl.cli", "simssl.launch.grid", "simssl.launch.together.team", "sklearn.datasets", "torch._dynamo"]
)


class Process:
    """A command that has been started in a folder."""

    def __init__(self, folder: Path, *words: object, environment: Mapping[str, str] | None = None) -> None:
        file, self._error = tempfile.mkstemp(prefix="stderr-", dir=folder)
        os.close(file)
        command = [str(word) for word in words]
        self._process = FORK.Process(target=_command, args=(folder, self._error, command, dict(environment or {})))
        self._process.start()
        assert self._process.pid
        self.pid = self._process.pid

    def kill(self) -> None:
        self._process.kill()

    @property
    def said(self) -> str:
        """Its standard error so far."""
        return Path(self._error).read_text()

    def finish(self) -> tuple[int, str]:
        """Return its exit code, that of a signal negative, and its standard error."""
        self._process.join(120)
        assert self._process.exitcode is not None, "it does not end"
        return self._process.exitcode, self.said


def _command(folder: Path, error: str, words: list[str], environment: dict[str, str]) -> None:
    from simssl.cli import main

    os.environ.update(environment)
    os.chdir(folder)
    for file, stream in ((os.devnull, sys.stdout), (error, sys.stderr)):
        opened = os.open(file, os.O_WRONLY)
        os.dup2(opened, stream.fileno())
        os.close(opened)
    sys.argv = ["simssl", *words]
    main()


def command_on(stream: str, closed: Sequence[int], folder: Path, words: Sequence[str]) -> None:
    """`simssl WORDS` with its three streams on this file, and those of these numbers closed.

    A terminal becomes the command's own, and may go without ending it.
    """
    from simssl.cli import main

    os.chdir(folder)
    terminal = stream.startswith("/dev/pts")
    if terminal:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    opened = os.open(stream, os.O_RDWR if terminal else os.O_WRONLY)
    if terminal:
        fcntl.ioctl(opened, termios.TIOCSCTTY, 0)
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        os.dup2(opened, descriptor)
        if descriptor in closed:
            os.close(descriptor)
            setattr(sys, name, None)  # as Python sets it at its start
    os.close(opened)
    sys.argv = ["simssl", *words]
    main()

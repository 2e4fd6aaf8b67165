"""`simssl ...` in processes of their own, forked from one that has imported what takes seconds."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

FORK = multiprocessing.get_context("forkserver")
# torch._dynamo: torch's optimisers import it when they are built
FORK.set_forkserver_preload(["simssl.cli", "simssl.launch.grid", "sklearn.datasets", "torch._dynamo"])


class Process:
    """A command that has been started in a folder."""

    def __init__(self, folder: Path, *words: object) -> None:
        file, self._error = tempfile.mkstemp(prefix="stderr-", dir=folder)
        os.close(file)
        command = [str(word) for word in words]
        self._process = FORK.Process(target=_command, args=(folder, self._error, command))
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


def _command(folder: Path, error: str, words: list[str]) -> None:
    from simssl.cli import main

    os.chdir(folder)
    for file, stream in ((os.devnull, sys.stdout), (error, sys.stderr)):
        opened = os.open(file, os.O_WRONLY)
        os.dup2(opened, stream.fileno())
        os.close(opened)
    sys.argv = ["simssl", *words]
    main()

"""A run's folder: the files in it, and the lock that keeps two processes apart."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from simssl.blocks.files import open_own, remove_parts, write_whole
from simssl.errors import RunError, RunHeld, UserError

HOLDER = 200
"""Most characters that are read of a lock's file."""

LOOKS = 3
LOOK = 0.02
"""Who looks whether a folder is held has its lock for some microseconds, which is waited for so often and long."""


class RunFolder:
    """A run's folder, `<runs>/<experiment>/<objective>-seed<N>-<hash>/`, and the paths in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def experiment(self) -> Path:
        return self.path / "experiment.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def progress(self) -> Path:
        return self.path / "progress.json"

    @property
    def features(self) -> Path:
        return self.path / "features"

    @property
    def images(self) -> Path:
        return self.path / "images"

    def pictures(self, label: str) -> Path:
        """The folder of an evaluator's pictures. A label's ":" is "+" there, since not every file system has it."""
        return self.images / label.replace(":", "+")

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """Return the run's folder at this path. UserError if the folder there is not a run's."""
        folder = cls(path)
        if not folder.experiment.is_file():
            raise UserError(f"{path} is not a run's folder: it has no experiment.yaml")
        return folder

    def write(self, path: Path, content: bytes) -> None:
        """Write a file in the folder, whole or not at all. RunError if it cannot be written, or a link is on the way.

        A link could lead out of the folder, to any file of the user's.
        """
        write_whole(path, content, root=self.path)

    def create(self) -> None:
        """Make the folder. UserError if it cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            os.close(open_own(self.path / ".lock"))
        except OSError as error:
            reason = f"{error.strerror}: {error.filename}"
            raise UserError(
                f"the run folder {self.path} cannot be written ({reason}); name a folder that can with --runs"
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder. RunHeld says which process holds it already. The lock ends with the process."""
        self.create()
        with self._open_lock() as file:
            try:
                self._lock(file)
            except BlockingIOError:
                holder = file.read(HOLDER).strip() or "another process"
                raise RunHeld(f"{self.path} is held by {holder}; wait for it, or stop it", holder) from None
            except OSError as error:
                raise RunError(f"{self.path} cannot be locked ({error.strerror})") from error
            if not self._is_lock(file.fileno()):
                raise RunHeld(f"{self.path} was moved away by another process just now; try again", "another process")
            remove_parts(self.path)
            self._sign(file.fileno())
            yield

    @staticmethod
    def _lock(file: TextIO) -> None:
        """Lock the file. BlockingIOError if another process holds it, and does not just look whether somebody does."""
        for _ in range(LOOKS):
            with suppress(BlockingIOError):
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            time.sleep(LOOK)
        return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def is_held(self) -> bool:
        """True if a process holds the folder."""
        return self.holder() is not None

    def holder(self) -> str | None:
        """What the process that holds the folder says of itself; None if nobody holds it."""
        try:
            descriptor = os.open(f"{self.path}/.lock", os.O_RDONLY | os.O_NONBLOCK)
        except OSError:  # told when the run is started
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.read(descriptor, HOLDER).decode(errors="replace")
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return None

    def _sign(self, lock: int) -> None:
        """Write down who holds the lock. RunError if the disk has not a byte for it."""
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = f"process {os.getpid()} on {socket.gethostname()} since {since}"
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, holder.encode(), 0)
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written ({error.strerror}); make room or mend it, then give the same command "
                "again"
            ) from error

    def _open_lock(self) -> TextIO:
        try:
            return os.fdopen(open_own(self.path / ".lock"), "r+", errors="replace")
        except OSError as error:
            raise RunError(f"{self.path} cannot be locked ({error.strerror})") from error

    def _is_lock(self, descriptor: int) -> bool:
        """True if the locked file still lies in the folder. Another process may have moved it."""
        try:
            in_folder = (self.path / ".lock").stat()
            return os.path.samestat(os.fstat(descriptor), in_folder)
        except OSError:
            return False

    @property
    def empty(self) -> bool:
        """True if nothing has been computed in the folder."""
        return all(path.name in (".lock", self.progress.name) for path in self.path.iterdir())

    def move_aside(self) -> Path:
        """Move the folder to `.old/` beside it, under a free number."""
        old = self.path.parent / ".old"
        if old.is_symlink():
            raise RunError(f"{old} is a link, and no run is moved through it; put a folder instead")
        old.mkdir(exist_ok=True)
        number = 1
        target = old / f"{self.path.name}-{number}"
        while os.path.lexists(target):
            number += 1
            target = old / f"{self.path.name}-{number}"
        self.path.rename(target)
        return target

"""The standard streams of a command. It goes on when nobody listens any more.

Who started it may have closed them (`2>&-`), stopped to read (`| head`) or gone, with the terminal.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

from simssl.errors import RunError

GONE = (errno.EPIPE, errno.EIO, errno.EBADF)
"""The errors of a stream at whose other end there is nobody."""


class _Patient(io.FileIO):
    """A descriptor to write to. What is written when nobody listens is lost, without an error.

    On standard output another error, such as that of a full disk, is told once, for what is written there is asked for.
    """

    failed = False

    def write(self, content: Any) -> int:
        try:
            if not self.failed:
                return super().write(content)
        except OSError as error:
            self.failed = True
            if error.errno not in GONE and self.fileno() == 1:
                raise RunError(f"standard output cannot be written ({error.strerror})") from error
        return memoryview(content).nbytes


def hold_open() -> None:
    """Let nothing fail because standard output or standard error is closed, or nobody reads it.

    A closed one becomes the null device, in the processes that this one starts, too: a file that is opened would get
    its number otherwise, and with it all that is printed there.
    """
    for descriptor in (0, 1, 2):
        _open_if_closed(descriptor)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    sys.stdout = _patient(1, sys.stdout)
    sys.stderr = _patient(2, sys.stderr)


def _open_if_closed(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
        os.set_inheritable(null, True)


def _patient(descriptor: int, stream: TextIO | None) -> TextIO:
    """A patient stream on this descriptor, in the encoding of the one that was there.

    Characters that it does not know, such as the bytes of a file's name, are written as escapes.
    """
    if stream is not None:
        stream.flush()
    raw = io.BufferedWriter(_Patient(descriptor, "w", closefd=False))
    encoding = stream.encoding if stream is not None else "utf-8"
    line_buffering = descriptor == 2 or os.isatty(descriptor)
    return io.TextIOWrapper(raw, encoding, errors="backslashreplace", line_buffering=line_buffering)

"""SIGINT and SIGTERM: held back while a training step is under way, so that the state can be saved."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from simssl.errors import Interrupted


class Stop:
    """`with Stop() as stop`: a signal raises Interrupted, or inside `deferred` sets `stop.signum`.

    A second signal is never held back, and one that nobody asked for is raised at the end of `deferred`.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._deferred = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        for signum in (signal.SIGINT, signal.SIGTERM):
            self._before[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._deferred and self.signum is None:
            self.signum = signum
        else:
            raise Interrupted(signum)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.signum is not None:
            raise Interrupted(self.signum)


class StopOnce(Stop):
    """Stop for as long as a process lives that is stopped by several signals for one wish, from the terminal and from
    the process above it: after the first, none changes anything."""

    def __exit__(self, *error: object) -> None:
        """Later signals find the same handlers."""

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is None:
            self.signum = signum
            if not self._deferred:
                raise Interrupted(signum)

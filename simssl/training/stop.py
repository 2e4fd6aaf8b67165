"""SIGINT and SIGTERM. They are held back while a training step is under way, so that the state can be saved."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from simssl.errors import Interrupted


class Stop:
    """A guard, `with Stop() as stop`. Within it a signal raises Interrupted; inside `deferred` it sets `stop.signum`.

    A second signal is never held back. One that nobody has asked for by the end of `deferred` is raised there.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._deferred = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for signum in (signal.SIGINT, signal.SIGTERM):
            self._before[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def asked(self, step: int, last: bool = False) -> int | None:
        """Return the signal that asks for an end after this step of a training; None if there is none.

        `last` says that it is the training's last step, or that much time has gone by since the step before.
        """
        return self.signum

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._deferred and self.signum is None:
            self.signum = signum
        else:
            raise Interrupted(signum)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold back a first signal: it only sets `signum`."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.signum is not None:
            raise Interrupted(self.signum)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise Interrupted on a signal, inside of `deferred`, too: for what may take long and can be repeated."""
        if self.signum is not None:
            raise Interrupted(self.signum)
        deferred = self._deferred
        self._deferred = False
        try:
            yield
        finally:
            self._deferred = deferred


class StopOnce(Stop):
    """A guard that the first signal alone has an effect on, for as long as the process lives.

    It is for a process that gets several signals for one wish: from the terminal, and from the process above it.
    """

    def __exit__(self, *error: object) -> None:
        """Keep the handlers, for later signals."""

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            return
        self.signum = signum
        if not self._deferred:
            raise Interrupted(signum)

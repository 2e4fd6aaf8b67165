"""How long OpenMP's threads spin: as usual while the cores are free, and hardly while they have other work, too.

An operation of torch on a CPU is done by several threads, and those that are ready first wait for the others. They
spin: they look again and again, for some milliseconds, and keep a core busy meanwhile. That is the fastest way to wait
where each thread has a core. Beside another program it takes the core from the very thread that is waited for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from simssl.blocks.openmp import OpenMP, openmp

TASKS = Path("/proc/self/task")
"""The threads of this process, on Linux."""

SECONDS = 0.04
"""Time between two looks at how long the threads have waited for a core."""

CROWDED = 0.35
"""Seconds in a second for which all threads together wait for a core, from which on others are taken to be there.

Beside one busy process on two cores they wait for half a second, and for a whole one while they spin; alone for less
than a fifth (`python benchmarks/beside_others.py`).
"""

SHORTEST, LONGEST = 0.5, 8.0
"""Seconds without others, after which the threads spin as usual again. Where that was too early they are doubled."""


class Spinning:
    """Watches, in a thread of its own, whether others use the cores, and lets OpenMP's threads spin accordingly.

    It has no influence on any number: an operation is shared among as many threads, in the same way.
    """

    _others = False
    """Whether others used the cores when the last one ended, in this process: the next one then begins so."""

    def __init__(self, library: OpenMP | None) -> None:
        self._library = library
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.short_seconds = 0.0
        """Seconds in which others used the cores, and the threads hardly spun."""

    def begin(self) -> None:
        """Begin to watch. Nothing happens where waiting cannot be measured, or the library is another one."""
        if self._library is None or waited() is None:
            return
        self._thread = threading.Thread(target=self._watch, args=(self._library,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End it. From now on the threads spin as usual."""
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _watch(self, library: OpenMP) -> None:
        quiet = SHORTEST
        others = Spinning._others
        while not self._ended.is_set():
            if others:
                self._spin_shortly(library, quiet)
                quiet = min(2 * quiet, LONGEST)
            others = self._crowded()
            if not others:
                quiet = SHORTEST

    def _crowded(self) -> bool:
        """Return whether others use the cores now. It takes a moment to find out."""
        before = waited() or 0.0
        start = time.perf_counter()
        self._ended.wait(SECONDS)
        seconds = time.perf_counter() - start
        share = ((waited() or 0.0) - before) / seconds
        return share > CROWDED

    def _spin_shortly(self, library: OpenMP, quiet: float) -> None:
        """Have the threads spin shortly, until no others have been there for `quiet` seconds."""
        start = last = time.perf_counter()
        Spinning._others = True
        with library.short_spins():
            while time.perf_counter() - last < quiet and not self._ended.is_set():
                if self._crowded():
                    last = time.perf_counter()
        Spinning._others = time.perf_counter() - last < quiet
        self.short_seconds += time.perf_counter() - start


def waited() -> float | None:
    """Return the seconds for which the threads of this process were ready to run, and others had the cores.

    None where the system does not say it.
    """
    nanoseconds = 0
    try:
        for task in TASKS.iterdir():
            nanoseconds += _waited(task)
    except (OSError, ValueError, IndexError):
        return None
    return nanoseconds / 1e9


def _waited(task: Path) -> int:
    """Return the nanoseconds for which a thread waited; 0 if it has ended just now."""
    try:
        _, waiting, _ = (task / "schedstat").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(waiting)


def policy() -> dict[str, str | None]:
    """Return how OpenMP's threads wait in this process, for a run's record."""
    shortened = openmp() is not None and waited() is not None
    return {
        "spins": "shorter beside others" if shortened else "as usual",
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY"),
        "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT"),
    }


_one = threading.Lock()
"""Held by the one who watches this process."""


@contextmanager
def considerate_threads(device: torch.device) -> Iterator[Spinning]:
    """Within it OpenMP's threads hardly spin while others use the cores. Within another one it changes nothing.

    On CUDA there is nothing to do: the threads of the host hardly compute.
    """
    library = openmp() if device.type == "cpu" else None
    spinning = Spinning(library)
    if not _one.acquire(blocking=False):
        yield spinning
        return
    try:
        spinning.begin()
        yield spinning
    finally:
        spinning.end()
        _one.release()

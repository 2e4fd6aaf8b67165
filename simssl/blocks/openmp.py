"""OpenMP's threads, which share torch's operations on a CPU.

They spin while they wait for one another, and nothing public changes for how long: this is one of the parts that
libraries do not promise (see `simssl.blocks.internals`), with the same kind of test.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

MOST_IDLE = 64
"""Most threads that are started only to be counted. Ours."""


class OpenMP:
    """GNU's OpenMP library, libgomp, whose threads share torch's operations on a CPU.

    Its threads spin while they wait for one another. How long is set by the environment when the library is loaded, and
    no function changes it later. But it follows the number of its threads, as its manual says at `GOMP_SPINCOUNT`:
    300,000 rounds as a rule, and 100 rounds while there are more threads than cores, whether they work or not.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._parallel = library.GOMP_parallel
        self._parallel.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
        self._parallel.restype = None
        self._nothing = ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p)
        """A function that may be called by each thread of a team: it does nothing."""

    @contextmanager
    def short_spins(self) -> Iterator[None]:
        """Within it all threads spin shortly. It keeps a team of idle threads, as many as there have to be."""
        done = threading.Event()
        thread = threading.Thread(target=self._be_idle, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _be_idle(self, done: threading.Event) -> None:
        """Have a team of threads until `done`. It ends with this thread."""
        others = len(os.sched_getaffinity(0)) - torch.get_num_threads()
        idle = max(0, others) + 1
        if torch.get_num_threads() > 1 and idle <= MOST_IDLE:
            self._parallel(self._nothing, None, 1 + idle, 0)
        done.wait()


@cache
def openmp() -> OpenMP | None:
    """The OpenMP library that torch brings; None if that is not GNU's, as on other systems than Linux."""
    if sys.platform != "linux":
        return None
    folder = Path(torch.__file__).parent / "lib"
    for path in sorted(folder.glob("libgomp*.so*")):
        library = ctypes.CDLL(str(path))
        if hasattr(library, "GOMP_parallel"):
            return OpenMP(library)
    return None

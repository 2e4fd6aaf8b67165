"""Memory that a step frees, for the next step, on a CPU."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""

LARGEST = 32 * 2**20
"""Bytes of the largest block that is kept; glibc allows no more."""


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, where it is glibc.

    It gives large blocks back to the system otherwise, which hands each page of them out again as zeros: a tenth to a
    quarter of the time of a small network's step, whose gradients are freed and made anew in each. A process stays as
    large as it once was.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)

"""Images in a memory-mapped file: the next ones of an epoch's order are asked for before they are taken.

A row of a mapping that is not in memory is read when it is touched, page by page, and whoever touches it waits. The
order of an epoch is known, so the system can read many rows at a time while the steps before them are under way. What
is read does not change.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

AHEAD = 32 * 2**20
"""The bytes of images that are asked for ahead of the next launch. Ours."""

MAPPINGS = Path("/proc/self/maps")
"""Linux's list of what lies at which address of this process."""


class ReadAhead:
    """Asks the system to read the images (N, C, H, W) of an epoch's order before they are taken.

    Nothing happens unless they lie in a memory-mapped file, on Linux.
    """

    def __init__(self, images_NCHW: Tensor) -> None:
        self._advise = _advise() if is_file(images_NCHW) else None
        self._first = images_NCHW.data_ptr()
        self._bytes = images_NCHW[0].nbytes if len(images_NCHW) else 1
        self._images_ahead = max(1, AHEAD // self._bytes)
        self._order_N = torch.empty(0, dtype=torch.long)
        self._asked = 0

    def begin(self, order_N: Tensor, position: int) -> None:
        """Ask in this order from now on, beginning at a position in it. It is on the host."""
        self._order_N = order_N
        self._asked = position

    def ask(self, until: int) -> None:
        """Ask for the images at the positions before `until`, and for some beyond."""
        if self._advise is None:
            return
        end = min(len(self._order_N), until + self._images_ahead)
        for index in self._order_N[self._asked : end].tolist():
            self._advise(self._first + index * self._bytes, self._bytes)
        self._asked = max(self._asked, end)


def is_file(images_NCHW: Tensor) -> bool:
    """Return whether images lie one after the other in a memory-mapped file, as far as this system tells."""
    if images_NCHW.device.type != "cpu" or not images_NCHW.is_contiguous() or not MAPPINGS.exists():
        return False
    address = images_NCHW.data_ptr()
    for line in MAPPINGS.read_text(errors="replace").splitlines():
        span, _, _, _, inode, *_ = line.split()
        start, end = span.split("-")
        if int(start, 16) <= address < int(end, 16):
            return inode != "0"
    return False


def _advise() -> Callable[[int, int], None] | None:
    """The function that asks for the bytes at an address; None on other systems than Linux."""
    if sys.platform != "linux":
        return None
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

    def advise(address: int, length: int) -> None:
        page = address - address % mmap.PAGESIZE
        madvise(page, address + length - page, mmap.MADV_WILLNEED)

    return advise

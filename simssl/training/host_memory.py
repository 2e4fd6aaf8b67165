"""Memory of the host that a training process keeps from step to step instead of giving it back to the kernel."""

from __future__ import annotations

import torch

from simssl.blocks.internals import LARGEST_APART, MMAP_THRESHOLD, TRIM_THRESHOLD, allocator

MOST = 2**31 - 1
LEAST = 2**20
"""Of the blocks that are mappings in the first step. Ours."""
USUAL, USUALLY_APART = 32 * 2**20, 128
"""As far as glibc raises the size of mappings by itself, and the size of blocks that stay apart."""


class HostMemory:
    """What is freed is used again, however large it is, from a first `keep` until `give_back`. From `begin` until then
    all but small blocks are mappings, so that what lasts (the optimiser's state) does not come to lie between what is
    kept.

    Otherwise every activation of more than 32 MiB is taken from the kernel anew in each step, page by page and zeroed:
    a third of the processor time of a ResNet-18's step with 256 views. What is cut off where a block is aligned, as all
    of torch's are, joins it again when it is freed, for a hole that is smaller by that fits no other block of its size:
    65 MiB of such a step. Nothing happens but on a CPU, on Linux, with glibc.
    """

    def __init__(self, device: torch.device) -> None:
        self._allocator = allocator() if device.type == "cpu" else None
        self._keeps = False

    def begin(self) -> None:
        """To be called before the first step."""
        self._set(mmap=LEAST, trim=2 * USUAL, apart=0)

    def keep(self) -> None:
        """To be called after each step."""
        if not self._keeps:
            self._set(mmap=MOST, trim=MOST, apart=0)
            self._keeps = True

    def give_back(self) -> None:
        """What is free goes back at once, and what will be freed does as it did."""
        self._set(mmap=USUAL, trim=2 * USUAL, apart=USUALLY_APART)
        if self._allocator:
            self._allocator.trim()
        self._keeps = False

    def _set(self, mmap: int, trim: int, apart: int) -> None:
        if self._allocator is None:
            return
        if not self._allocator.set(MMAP_THRESHOLD, mmap):
            self._allocator.set(MMAP_THRESHOLD, USUAL)  # an older one takes no more
        self._allocator.set(TRIM_THRESHOLD, trim)
        self._allocator.set(LARGEST_APART, apart)

"""Memory of the host: a training process keeps it from step to step instead of giving it back to the kernel.

glibc's allocator takes a large block of memory from the kernel as a mapping of its own, and gives it back as soon as
the block is freed. Smaller blocks come from a heap, which keeps what is freed, up to a threshold.
"""

from __future__ import annotations

import torch

from simssl.blocks.internals import LARGEST_APART, MMAP_THRESHOLD, TRIM_THRESHOLD, allocator

MOST = 2**31 - 1
"""The largest value of a threshold, in bytes: no block is so large."""

LEAST = 2**20
"""The size in bytes from which a block is a mapping in the first step. Ours."""

USUAL = 32 * 2**20
"""The size in bytes up to which glibc by itself raises the threshold of mappings."""

USUALLY_APART = 128
"""The size in bytes up to which glibc by itself lets a freed block stay apart from the free ones beside it."""


class HostMemory:
    """Keeps the memory that a step frees for the next step, whatever the size of the blocks.

    `begin` is called before the first step, `keep` after each step, and `give_back` after the last. Nothing happens
    unless the device is a CPU, on Linux, with glibc.

    Without it, an activation of more than 32 MiB is given back to the kernel in each step. The kernel hands it out anew
    in the next one, page by page, and fills it with zeros. That took a third of the processor time of a ResNet-18's
    step with 256 views.

    In the first step all but small blocks are mappings. So what lasts, such as the optimiser's state, does not come to
    lie between the blocks that are kept.

    All of torch's blocks are aligned, and a small rest is cut off each of them for that. Freed, the rest has to join
    its block again: a hole that is smaller by the rest fits no other block of that size. Such holes were 65 MiB of the
    same step.
    """

    def __init__(self, device: torch.device) -> None:
        self._allocator = allocator() if device.type == "cpu" else None
        self._keeps = False

    def begin(self) -> None:
        """Get ready for the first step."""
        self._set(mmap=LEAST, trim=2 * USUAL, apart=0)

    def keep(self) -> None:
        """Keep all that is freed from the end of the first step on."""
        if self._keeps:
            return
        self._set(mmap=MOST, trim=MOST, apart=0)
        self._keeps = True

    def give_back(self) -> None:
        """Give back at once what is free. What is freed later goes back as usual."""
        self._set(mmap=USUAL, trim=2 * USUAL, apart=USUALLY_APART)
        if self._allocator:
            self._allocator.trim()
        self._keeps = False

    def _set(self, mmap: int, trim: int, apart: int) -> None:
        """Set the three thresholds: of mappings, of free memory that stays, and of blocks that stay apart."""
        if self._allocator is None:
            return
        if not self._allocator.set(MMAP_THRESHOLD, mmap):
            self._allocator.set(MMAP_THRESHOLD, USUAL)  # an older glibc takes no more
        self._allocator.set(TRIM_THRESHOLD, trim)
        self._allocator.set(LARGEST_APART, apart)

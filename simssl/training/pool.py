"""Where a step finds its images: on the device, or in a ring there that the host keeps filled ahead of the steps."""

from __future__ import annotations

import logging
from typing import Protocol

import torch
from torch import Tensor

RESIDENT = 0.5
"""Largest part of the free memory of a device that images may take; the rest is for networks and activations. Ours."""


class Pool(Protocol):
    """The training images, for steps that take them one batch after the other in the order of an epoch.

    The host calls `begin` at each epoch, `ready` before a launch and `launched` after it; `take` is part of the step.
    """

    images_NCHW: Tensor
    """All of them, uint8, on the device or on the host."""

    def begin(self, order_N: Tensor, position: int) -> None:
        """The images are taken in this order now, from a position on."""

    def ready(self, until: int) -> None:
        """Whatever is launched next may take the images at the positions before `until`."""

    def launched(self, position: int) -> None:
        """The steps up to this position are on their way."""

    def take(self, index_B: Tensor, place_B: Tensor) -> Tensor:
        """The images (B, C, H, W) on the device with these places in the split, which are at these in the order."""


def pool_of(images_NCHW: Tensor, device: torch.device, most: int) -> Pool:
    """The images on the device where they fit, else streamed there; at most `most` are taken in one launch."""
    if device.type != "cuda":
        return Resident(images_NCHW)
    needed, (free, _) = images_NCHW.nbytes, torch.cuda.mem_get_info(device)
    if needed <= RESIDENT * free:
        return Resident(images_NCHW.to(device))
    logging.getLogger("simssl").info(
        f"the training images ({needed / 2**30:,.1f} GiB) are streamed from the host: they would leave too little of "
        f"the {free / 2**30:,.1f} GiB that are free on the device"
    )
    ring_RCHW = torch.empty((2 * most, *images_NCHW.shape[1:]), dtype=torch.uint8, device=device)
    return Streamed(images_NCHW, ring_RCHW, CopyStream(ring_RCHW))


class Resident:
    """Images that the device holds, all of them."""

    def __init__(self, images_NCHW: Tensor) -> None:
        self.images_NCHW = images_NCHW

    def begin(self, order_N: Tensor, position: int) -> None:
        return

    def ready(self, until: int) -> None:
        return

    def launched(self, position: int) -> None:
        return

    def take(self, index_B: Tensor, place_B: Tensor) -> Tensor:
        return self.images_NCHW.index_select(0, index_B)


class Copies(Protocol):
    """Copies to the device that run beside the steps."""

    def copy(self, images_NCHW: Tensor, index_M: Tensor, ring_RCHW: Tensor, row: int, ahead: bool) -> None:
        """Copy images of the host to the ring's rows from `row` on (after the last comes the first), once all launches
        so far are over; if `ahead`, all but the last."""

    def arrive(self) -> None:
        """What is launched from here on finds the copies there."""

    def launched(self) -> None:
        """A launch was made."""


class Streamed:
    """Images on the host. The one at position p of an epoch's order lies in row p % R of a ring of R on the device.

    While a launch takes at most R/2 images, the host gathers the next R/2 and sends them to the other rows.
    """

    def __init__(self, images_NCHW: Tensor, ring_RCHW: Tensor, copies: Copies) -> None:
        self.images_NCHW, self._ring_RCHW, self._copies = images_NCHW, ring_RCHW, copies
        self._order_N = torch.empty(0, dtype=torch.long)
        self._filled = 0  # all positions before are in the ring, or were

    def begin(self, order_N: Tensor, position: int) -> None:
        self._order_N, self._filled = order_N.cpu(), position

    def ready(self, until: int) -> None:
        self._fill(until, ahead=False)
        self._copies.arrive()

    def launched(self, position: int) -> None:
        self._copies.launched()
        self._fill(min(len(self._order_N), position + len(self._ring_RCHW) // 2), ahead=True)

    def _fill(self, until: int, ahead: bool) -> None:
        if until > self._filled:
            index_M = self._order_N[self._filled : until]
            row = self._filled % len(self._ring_RCHW)
            self._copies.copy(self.images_NCHW, index_M, self._ring_RCHW, row, ahead)
            self._filled = until

    def take(self, index_B: Tensor, place_B: Tensor) -> Tensor:
        return self._ring_RCHW.index_select(0, place_B % len(self._ring_RCHW))


def put(ring_RCHW: Tensor, row: int, images_MCHW: Tensor) -> None:
    """Write images to the ring's rows from `row` on; those in pinned memory without waiting for it."""
    fitting = min(len(images_MCHW), len(ring_RCHW) - row)
    ring_RCHW[row : row + fitting].copy_(images_MCHW[:fitting], non_blocking=True)
    ring_RCHW[: len(images_MCHW) - fitting].copy_(images_MCHW[fitting:], non_blocking=True)


class CopyStream:
    """Copies on a CUDA stream of their own, from two pinned buffers in turn."""

    def __init__(self, ring_RCHW: Tensor) -> None:
        self._device = ring_RCHW.device
        self._stream = torch.cuda.Stream(self._device)
        shape = (len(ring_RCHW) // 2, *ring_RCHW.shape[1:])
        pinned = (torch.empty(shape, dtype=torch.uint8, pin_memory=True) for _ in range(2))
        self._buffers = [(buffer, torch.cuda.Event()) for buffer in pinned]
        self._last = self._before = self._current().record_event()

    def _current(self) -> torch.cuda.Stream:
        return torch.cuda.current_stream(self._device)

    def copy(self, images_NCHW: Tensor, index_M: Tensor, ring_RCHW: Tensor, row: int, ahead: bool) -> None:
        self._buffers.reverse()
        buffer_MCHW, copied = self._buffers[0]
        copied.synchronize()
        part_MCHW = buffer_MCHW[: len(index_M)]
        torch.index_select(images_NCHW, 0, index_M, out=part_MCHW)
        self._stream.wait_event(self._before if ahead else self._last)
        with torch.cuda.stream(self._stream):
            put(ring_RCHW, row, part_MCHW)
        copied.record(self._stream)

    def arrive(self) -> None:
        self._current().wait_stream(self._stream)

    def launched(self) -> None:
        self._before, self._last = self._last, self._current().record_event()

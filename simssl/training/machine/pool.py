"""The pool of images that steps take their batches from.

The device holds all images, or a ring of them that the host keeps filled ahead of the steps. R counts the rows of the
ring, M the images of one copy to it.
"""

from __future__ import annotations

import logging
from typing import Protocol

import torch
from torch import Tensor

from simssl.training.machine.device_memory import available
from simssl.training.machine.read_ahead import ReadAhead

RESIDENT = 0.5
"""Largest part of the free memory of a device that images may take; the rest is for networks and activations. Ours."""


class Pool(Protocol):
    """The training images, for steps that take them one batch after the other in the order of an epoch.

    The host calls `begin` at each epoch, `ready` before a launch and `launched` after it; `take` is part of the step.
    """

    images_NCHW: Tensor
    """All images, uint8, on the device or on the host."""

    def begin(self, order_N: Tensor, position: int) -> None:
        """Take the images in this order from now on, beginning at a position in it."""

    def ready(self, until: int) -> None:
        """Have the images at the positions before `until` on the device, for what is launched next."""

    def launched(self, position: int) -> None:
        """Take note that the steps up to this position are launched."""

    def take(self, index_B: Tensor, position_B: Tensor) -> Tensor:
        """Return images (B, C, H, W) on the device, by their index in the training split and position in the order."""


def fits(images_NCHW: Tensor, device: torch.device) -> bool:
    """True if a CUDA device can hold the images, and leave enough of its free memory for the rest."""
    return images_NCHW.nbytes <= RESIDENT * available(device)


def pool_of(images_NCHW: Tensor, device: torch.device, most: int) -> Pool:
    """Return a pool that holds the images on the device if they fit there, and else one that streams them.

    A launch takes at most `most` images.
    """
    if device.type != "cuda":
        return Resident(images_NCHW)
    if fits(images_NCHW, device):
        return Resident(images_NCHW.to(device))
    needed = images_NCHW.nbytes
    free = available(device)
    logging.getLogger("simssl").info(
        f"the training images ({needed / 2**30:,.1f} GiB) are streamed from the host: they would leave too little of "
        f"the {free / 2**30:,.1f} GiB that are free on the device"
    )
    ring_shape = (2 * most, *images_NCHW.shape[1:])
    ring_RCHW = torch.empty(ring_shape, dtype=torch.uint8, device=device)
    return Streamed(images_NCHW, ring_RCHW, CopyStream(ring_RCHW))


class Resident:
    """A pool whose images all lie on the device. On a CPU that may be a memory-mapped file."""

    def __init__(self, images_NCHW: Tensor) -> None:
        self.images_NCHW = images_NCHW
        self._read_ahead = ReadAhead(images_NCHW)

    def begin(self, order_N: Tensor, position: int) -> None:
        self._read_ahead.begin(order_N, position)

    def ready(self, until: int) -> None:
        self._read_ahead.ask(until)

    def launched(self, position: int) -> None:
        return

    def take(self, index_B: Tensor, position_B: Tensor) -> Tensor:
        return self.images_NCHW.index_select(0, index_B)


class Copies(Protocol):
    """Copies to the device that run beside the steps."""

    def copy(
        self,
        images_NCHW: Tensor,
        index_M: Tensor,
        ring_RCHW: Tensor,
        row: int,
        ahead: bool,
    ) -> None:
        """Copy images of the host to the ring's rows from `row` on; after the last row comes the first.

        The copy begins when all launches so far are over, with `ahead` already when all but the last are over.
        """

    def arrive(self) -> None:
        """Let what is launched from here on wait for the copies."""

    def launched(self) -> None:
        """Take note that a launch was made."""


class Streamed:
    """A pool whose images lie on the host, and pass through a ring of R rows on the device.

    The image at position p of an epoch's order lies in row p % R. While a launch takes at most R/2 images, the host
    gathers the next R/2 and sends them to the other rows.
    """

    def __init__(self, images_NCHW: Tensor, ring_RCHW: Tensor, copies: Copies) -> None:
        self.images_NCHW = images_NCHW
        self._ring_RCHW = ring_RCHW
        self._copies = copies
        self._read_ahead = ReadAhead(images_NCHW)
        self._order_N = torch.empty(0, dtype=torch.long)
        self._filled = 0  # all positions before are in the ring, or were

    def begin(self, order_N: Tensor, position: int) -> None:
        self._order_N = order_N.cpu()
        self._read_ahead.begin(self._order_N, position)
        self._filled = position

    def ready(self, until: int) -> None:
        self._fill(until, ahead=False)
        self._copies.arrive()

    def launched(self, position: int) -> None:
        self._copies.launched()
        next_launch_end = position + len(self._ring_RCHW) // 2
        self._fill(min(len(self._order_N), next_launch_end), ahead=True)

    def _fill(self, until: int, ahead: bool) -> None:
        if until <= self._filled:
            return
        self._read_ahead.ask(until)
        index_M = self._order_N[self._filled : until]
        row = self._filled % len(self._ring_RCHW)
        self._copies.copy(self.images_NCHW, index_M, self._ring_RCHW, row, ahead)
        self._filled = until

    def take(self, index_B: Tensor, position_B: Tensor) -> Tensor:
        row_B = position_B % len(self._ring_RCHW)
        return self._ring_RCHW.index_select(0, row_B)


def put(ring_RCHW: Tensor, row: int, images_MCHW: Tensor) -> None:
    """Write images to the ring's rows from `row` on. The host does not wait for those in pinned memory."""
    before_end = min(len(images_MCHW), len(ring_RCHW) - row)
    from_start = len(images_MCHW) - before_end
    ring_RCHW[row : row + before_end].copy_(images_MCHW[:before_end], non_blocking=True)
    ring_RCHW[:from_start].copy_(images_MCHW[before_end:], non_blocking=True)


class CopyStream:
    """Copies on a CUDA stream of their own, by way of two pinned buffers that are used alternately."""

    def __init__(self, ring_RCHW: Tensor) -> None:
        self._device = ring_RCHW.device
        self._stream = torch.cuda.Stream(self._device)
        shape = (len(ring_RCHW) // 2, *ring_RCHW.shape[1:])
        self._buffers: list[tuple[Tensor, torch.cuda.Event]] = []
        for _ in range(2):
            pinned_MCHW = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
            self._buffers.append((pinned_MCHW, torch.cuda.Event()))
        self._last_launch = self._current().record_event()
        self._launch_before = self._last_launch

    def _current(self) -> torch.cuda.Stream:
        return torch.cuda.current_stream(self._device)

    def copy(
        self,
        images_NCHW: Tensor,
        index_M: Tensor,
        ring_RCHW: Tensor,
        row: int,
        ahead: bool,
    ) -> None:
        self._buffers.reverse()
        buffer_MCHW, copied = self._buffers[0]
        copied.synchronize()
        part_MCHW = buffer_MCHW[: len(index_M)]
        torch.index_select(images_NCHW, 0, index_M, out=part_MCHW)
        self._stream.wait_event(self._launch_before if ahead else self._last_launch)
        with torch.cuda.stream(self._stream):
            put(ring_RCHW, row, part_MCHW)
        copied.record(self._stream)

    def arrive(self) -> None:
        self._current().wait_stream(self._stream)

    def launched(self) -> None:
        self._launch_before = self._last_launch
        self._last_launch = self._current().record_event()

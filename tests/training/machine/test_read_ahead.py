"""The images of a memory-mapped file are asked for before they are taken, which changes nothing of a run."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from simssl.store.folder import RunFolder
from simssl.testing.fixtures import tiny_run
from simssl.training.machine import read_ahead
from simssl.training.machine.pool import Pool, Resident, Streamed
from simssl.training.machine.read_ahead import ReadAhead, is_file
from simssl.training.trainer import Trainer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked to read ahead")

HEADER = 4096


def mapped_file(path: Path, images_NCHW: Tensor) -> Tensor:
    """The images in a file behind a header, memory-mapped as a cache is."""
    with path.open("wb") as file:
        file.write(bytes(HEADER) + images_NCHW.numpy().tobytes())
        file.flush()
        os.fsync(file.fileno())
    mapped = np.memmap(path, np.uint8, mode="c", offset=HEADER, shape=tuple(images_NCHW.shape))
    return torch.from_numpy(mapped)


class AtOnce:
    """Copies to a ring that are made at once."""

    def copy(self, images_NCHW: Tensor, index_M: Tensor, ring_RCHW: Tensor, row: int, ahead: bool) -> None:
        row_M = (row + torch.arange(len(index_M))) % len(ring_RCHW)
        ring_RCHW[row_M] = images_NCHW[index_M]

    def arrive(self) -> None:
        return

    def launched(self) -> None:
        return


def streamed(images_NCHW: Tensor) -> Streamed:
    """A pool with a ring of 24 images."""
    ring_RCHW = torch.empty(24, *images_NCHW.shape[1:], dtype=torch.uint8)
    return Streamed(images_NCHW, ring_RCHW, AtOnce())


@pytest.mark.parametrize("pool_of", [Resident, streamed])
@pytest.mark.parametrize("start", [0, 36])
def test_every_image_is_asked_for_once_an_epoch_and_before_it_is_taken(
    pool_of: Callable[[Tensor], Pool], start: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In launches of 12 images, from a position in the order on."""
    asked: list[int] = []
    monkeypatch.setattr(read_ahead, "_advise", lambda: lambda address, length: asked.append(address))
    images_NCHW = mapped_file(tmp_path / "images", torch.randint(0, 256, (60, 3, 8, 8), dtype=torch.uint8))
    monkeypatch.setattr(read_ahead, "AHEAD", 5 * images_NCHW[0].nbytes)
    addresses = [image_CHW.data_ptr() for image_CHW in images_NCHW]
    pool = pool_of(images_NCHW)
    order_N = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    pool.begin(order_N, start)
    for position in range(start, 60, 12):
        pool.ready(position + 12)
        expected = [addresses[index] for index in order_N[start : position + 17].tolist()]
        assert asked[: len(expected)] == expected
        pool.launched(position + 12)
    assert asked == [addresses[index] for index in order_N[start:].tolist()]


def test_a_run_on_a_file_is_the_run_on_memory(tmp_path: Path) -> None:
    def weights(from_file: bool) -> dict[str, Tensor]:
        trainer = Trainer(tiny_run(steps=40), RunFolder(tmp_path))
        assert trainer.unit is not None
        if from_file:
            mapped_NCHW = mapped_file(tmp_path / "images", trainer.images_NCHW)
            trainer.pool = trainer.unit.pool = Resident(mapped_NCHW)
        while trainer.step < 40:
            trainer.train_step()
        return trainer.objective.state_dict()

    expected = weights(from_file=False)
    for name, value in weights(from_file=True).items():
        assert torch.equal(value, expected[name]), name


def test_the_system_reads_what_is_asked_for(tmp_path: Path) -> None:
    images_NCHW = torch.randint(0, 256, (4000, 3, 64, 64), dtype=torch.uint8)
    mapped_NCHW = mapped_file(tmp_path / "images", images_NCHW)
    with (tmp_path / "images").open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    order_N = torch.randperm(4000, generator=torch.Generator().manual_seed(0))
    ahead = ReadAhead(mapped_NCHW)
    if any(in_memory(mapped_NCHW[index]) for index in order_N[:100].tolist()):
        pytest.skip("this file system keeps the file in memory")
    ahead.begin(order_N, 0)
    ahead.ask(100)
    deadline = time.monotonic() + 10
    while not all(in_memory(mapped_NCHW[index]) for index in order_N[:100].tolist()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert torch.equal(mapped_NCHW, images_NCHW)


def in_memory(image_CHW: Tensor) -> bool:
    """Whether the system holds all pages of an image."""
    address = image_CHW.data_ptr()
    page = address - address % mmap.PAGESIZE
    length = address + image_CHW.nbytes - page
    pages = (ctypes.c_ubyte * -(-length // mmap.PAGESIZE))()
    assert ctypes.CDLL(None).mincore(ctypes.c_void_p(page), ctypes.c_size_t(length), pages) == 0
    return all(held & 1 for held in pages)


def test_only_a_file_is_asked_for(tmp_path: Path) -> None:
    images_NCHW = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    mapped_NCHW = mapped_file(tmp_path / "images", images_NCHW)
    assert is_file(mapped_NCHW)
    assert is_file(mapped_NCHW[1:3])
    assert not is_file(mapped_NCHW[:, :1])  # parts of images are not read as images are
    assert not is_file(images_NCHW)

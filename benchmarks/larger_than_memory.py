"""Images a second from a memory-mapped file: in memory, in the page cache, and from the disk.

It writes a file as large as `--gigabytes`, as a cache of decoded images is, and some JPEG files; both are removed in
the end. Batches are gathered at random, as a step on a CPU and the copies to a GPU take them: from memory, from the
file, and from the file with the rows asked for ahead, as simssl does it. Beside it: torch's DataLoader on the same
file, and on the JPEG files, with the number of workers that is best for it.

Of a DataLoader with workers the first batches of a pass are not timed: its workers start then, and fetch them.

"From the disk" is a file much larger than memory. The page cache is emptied of the file with `posix_fadvise` before
each pass; a pass is at most 5 % of the file and two seconds, and the median of the passes after the first counts. So
nearly no row is in memory before it is asked for. Each way says what it has left there. As the file is, the system
reads much around each page that is missing, which takes its time, and is of no use where memory has no room for it. The
DataLoader is measured without that. What lies behind the machine's disk (a host with a cache of its own) is not seen
from here.

`order by blocks` is what simssl does not do: an epoch that is a random order of blocks of images, shuffled within
some blocks at a time, which are asked for whole. The script says what that would bring.

Run it with: python benchmarks/larger_than_memory.py [--side 224]
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import machine
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from simssl.blocks.images.cache import HEADER, _digest
from simssl.training.machine.pool import Resident

BYTES_A_BATCH = 3 * 2**20
WARM_BYTES = 2**29
JPEGS = 8192
BLOCK_BYTES, TOGETHER = 786_432, 64
PASS_PART, PASS_SECONDS = 0.05, 2.0
WORKERS = (0, 2)
FETCHED = 2
"""Batches that each worker of a DataLoader fetches before they are taken."""

Batches = Callable[[Tensor], Iterable[Tensor]]
"""Yields the images of an order, batch after batch."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk that is measured")
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4, help="least time of a measurement")
    arguments = parser.parse_args()
    print(machine.about())
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        File(folder, arguments.side, arguments.gigabytes).measure(arguments.seconds)
    finally:
        shutil.rmtree(folder)


class File:
    """The file of images, and all that is measured of it."""

    def __init__(self, folder: Path, side: int, gigabytes: float) -> None:
        self.path = folder / "images"
        self.jpegs = folder / "jpegs"
        self.shape = (3, side, side)
        self.image_bytes = 3 * side**2
        self.num_images = int(gigabytes * 1e9 / self.image_bytes)
        self.batch = max(1, BYTES_A_BATCH // self.image_bytes)
        self.block = max(1, BLOCK_BYTES // self.image_bytes)
        self.lot = self.block * TOGETHER
        """Images that an order by blocks shuffles at a time."""
        self.generator = torch.Generator().manual_seed(0)
        self._write()
        self.file = self.path.open("rb")
        self.most_held = 0.0
        """The largest part of the file that a pass has left in memory."""
        self.open_anew()

    def open_anew(self, read_around: bool = True) -> None:
        """Map the file anew. What the system has learnt of how the last mapping was read does not count for this.

        Without `read_around` it is told that the order is random, and reads no more than the pages that are touched.
        """
        self.mapped_NCHW = self.map()
        if not read_around:
            self.mapped_NCHW._mmap.madvise(mmap.MADV_RANDOM)
        self.images_NCHW = torch.from_numpy(self.mapped_NCHW)

    def map(self) -> np.memmap:
        shape = (self.num_images, *self.shape)
        return np.memmap(self.path, np.uint8, mode="c", offset=HEADER, shape=shape)

    def _write(self) -> None:
        random = np.random.default_rng(0)
        with self.path.open("wb") as file:
            file.write(bytes(HEADER))
            for start in range(0, self.num_images, 256):
                rows = min(256, self.num_images - start)
                file.write(random.bytes(rows * self.image_bytes))
            file.flush()
            os.fsync(file.fileno())
        self.jpegs.mkdir()
        for index in range(JPEGS):
            pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
            picture = Image.fromarray(pixels).resize(self.shape[1:], Image.Resampling.BICUBIC)
            picture.save(self.jpegs / f"{index}.jpg", quality=90)

    # --- the page cache -------------------------------------------------------------------------------

    def drop(self) -> None:
        """Empty the page cache of the file, and note what it held."""
        self.most_held = max(self.most_held, self.held())
        self.mapped_NCHW._mmap.madvise(mmap.MADV_DONTNEED)
        os.posix_fadvise(self.file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def drop_jpegs(self) -> None:
        for path in self.jpegs.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def read_around(self) -> str:
        """What the system reads around a page that is missing, as the disk's settings say it."""
        device = os.stat(self.path).st_dev
        queue = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve() / "queue"
        if not queue.exists():  # of a partition it is its disk's
            queue = queue.parents[1] / "queue"
        setting = queue / "read_ahead_kb"
        return f"{setting.read_text().strip()} kB" if setting.exists() else "an unknown number of kB"

    def held(self) -> float:
        """The part of the file that is in memory."""
        start = self.mapped_NCHW.ctypes.data
        length = self.mapped_NCHW.nbytes
        pages = (ctypes.c_ubyte * -(-length // mmap.PAGESIZE))()
        ctypes.CDLL(None).mincore(ctypes.c_void_p(start), ctypes.c_size_t(length), pages)
        return sum(page & 1 for page in pages) / len(pages)

    # --- ways of reading ------------------------------------------------------------------------------

    def gathered(self, order_N: Tensor) -> Iterator[Tensor]:
        """As a step does it, from the file as it is."""
        for index_B in order_N.split(self.batch):
            yield self.images_NCHW.index_select(0, index_B)

    def read_ahead(self, order_N: Tensor) -> Iterator[Tensor]:
        """As a step of simssl does it."""
        pool = Resident(self.images_NCHW)
        pool.begin(order_N, 0)
        for position in range(0, len(order_N), self.batch):
            pool.ready(position + self.batch)
            index_B = order_N[position : position + self.batch]
            yield pool.take(index_B, index_B)

    def by_blocks(self, order_N: Tensor) -> Iterator[Tensor]:
        """In an order of `blocks`, with the blocks that are shuffled together asked for whole, two lots ahead."""
        lots = order_N.split(self.lot)
        for number, lot_N in enumerate(lots):
            for ahead_N in lots[0:3] if number == 0 else lots[number + 2 : number + 3]:
                self._ask_for_blocks(ahead_N)
            yield from self.gathered(lot_N)

    def _ask_for_blocks(self, lot_N: Tensor) -> None:
        for block in (lot_N // self.block).unique().tolist():
            offset = HEADER + block * self.block * self.image_bytes
            os.posix_fadvise(self.file.fileno(), offset, self.block * self.image_bytes, os.POSIX_FADV_WILLNEED)

    def loader(self, data: Dataset[Tensor], workers: int) -> Batches:
        def batches(order_N: Tensor) -> Iterable[Tensor]:
            return DataLoader(data, self.batch, sampler=order_N.tolist(), num_workers=workers)

        return batches

    # --- orders ---------------------------------------------------------------------------------------

    def at_random(self, num_images: int) -> Tensor:
        return torch.randperm(num_images, generator=self.generator)

    def blocks(self) -> Tensor:
        """A permutation of blocks, shuffled within each lot of them."""
        num_blocks = self.num_images // self.block
        lots = []
        for block_M in torch.randperm(num_blocks, generator=self.generator).split(TOGETHER):
            index_N = (block_M[:, None] * self.block + torch.arange(self.block)).flatten()
            lots.append(index_N[torch.randperm(len(index_N), generator=self.generator)])
        return torch.cat(lots)

    # --- measurements ---------------------------------------------------------------------------------

    def rate(
        self, batches: Batches, order_N: Tensor, seconds: float, before: Callable[[], None], untimed: int = 0
    ) -> float:
        """Images a second: the median of the passes after the first. The first batches of a pass are not timed."""
        most = max(1, int(PASS_PART * self.num_images) // self.lot) * self.lot
        rates: list[float] = []
        start = time.perf_counter()
        for pass_N in order_N.split(most):
            if len(pass_N) < most and rates:
                break
            before()
            rates.append(_rate(batches(pass_N), untimed))
            if len(rates) > 1 and time.perf_counter() - start > seconds:
                break
        before()
        return statistics.median(rates[1:] or rates)

    def measure(self, seconds: float) -> None:
        warm = min(self.num_images, WARM_BYTES // self.image_bytes)
        warm_N = self.at_random(warm)
        self.drop()
        print(f"{self.num_images:,} images of 3 x {self.shape[1]} x {self.shape[2]}, {self.batch} a batch")
        print(f"the system reads {self.read_around()} around a page that is missing")
        print(f"page cache emptied by posix_fadvise; {self.held():.1%} of the file are in memory after it")
        self._disk(seconds)

        in_memory = _InMemory(self.images_NCHW[:warm].clone(), self.batch)
        show("in memory", self.rate(in_memory.gathered, warm_N, seconds, _nothing))
        show("page cache", self.rate(self.gathered, warm_N, seconds, _nothing))
        show("page cache, asked for ahead", self.rate(self.read_ahead, warm_N, seconds, _nothing))
        mapped, jpegs = _Mapped(self), _Jpegs(self.jpegs)
        self._loaders("page cache, DataLoader", mapped, warm_N, seconds, _nothing)
        self._loaders("page cache, DataLoader on JPEG files", jpegs, self.at_random(JPEGS), seconds, _nothing)
        del in_memory

        self._loaders("disk, DataLoader", mapped, self.at_random(self.num_images), seconds, self.drop)
        self._loaders("disk, DataLoader on JPEG files", jpegs, self.at_random(JPEGS), seconds, self.drop_jpegs)
        self._from_disk("disk, gathered", self.gathered, self.at_random(self.num_images), seconds)
        order_N = self.at_random(self.num_images)
        self._from_disk("disk, gathered, nothing read around", self.gathered, order_N, seconds, read_around=False)
        self._from_disk("disk, asked for ahead", self.read_ahead, self.at_random(self.num_images), seconds)
        self._from_disk("disk, order by blocks", self.by_blocks, self.blocks(), seconds)
        self._from_disk("disk, in the file's order", self.gathered, torch.arange(self.num_images), seconds)

    def _from_disk(
        self, name: str, batches: Batches, order_N: Tensor, seconds: float, read_around: bool = True
    ) -> None:
        self.open_anew(read_around)
        self.most_held = 0.0
        rate = self.rate(batches, order_N, 2 * seconds, self.drop)
        show(name, rate, f"{self.most_held:.0%} of the file in memory after a pass")

    def _loaders(
        self, name: str, data: Dataset[Tensor], order_N: Tensor, seconds: float, before: Callable[[], None]
    ) -> None:
        rates = {}
        for workers in WORKERS:
            self.open_anew(read_around=False)
            untimed = 1 + FETCHED * workers if workers else 0
            rates[workers] = self.rate(self.loader(data, workers), order_N, seconds / 2, before, untimed)
        best = max(rates, key=rates.__getitem__)
        show(f"{name} ({best} workers)", rates[best])

    def _disk(self, seconds: float) -> None:
        part = bytearray(2**22)
        done = 0
        start = time.perf_counter()
        while time.perf_counter() - start < seconds / 2 and (read := os.preadv(self.file.fileno(), [part], done)):
            done += read
        print(f"the disk: {done / 1e6 / (time.perf_counter() - start):,.0f} MB/s in the file's order", end="")
        self.drop()
        checked = self.mapped_NCHW[: 10**9 // self.image_bytes]
        start = time.perf_counter()
        _digest(checked, self.file.fileno(), lambda done, total: None)
        print(f"; the check at the start: {checked.nbytes / 1e6 / (time.perf_counter() - start):,.0f} MB/s")
        self.drop()


def _rate(batches: Iterable[Tensor], untimed: int) -> float:
    images = 0
    start = now = time.perf_counter()
    for number, batch in enumerate(batches, 1):
        now = time.perf_counter()
        if number <= untimed:
            start = now
            continue
        images += len(batch)
        if now - start > PASS_SECONDS:
            break
    return images / (now - start)


class _InMemory:
    def __init__(self, images_NCHW: Tensor, batch: int) -> None:
        self.images_NCHW = images_NCHW
        self.batch = batch

    def gathered(self, order_N: Tensor) -> Iterator[Tensor]:
        for index_B in order_N.split(self.batch):
            yield self.images_NCHW.index_select(0, index_B)


def _nothing() -> None:
    return


def show(name: str, rate: float, remark: str = "") -> None:
    print(f"{name:<52} {rate:>10,.0f} images/s  {remark}", flush=True)


class _Mapped(Dataset[Tensor]):
    def __init__(self, file: File) -> None:
        self.file = file

    def __getitem__(self, index: int) -> Tensor:
        return self.file.images_NCHW[index]


class _Jpegs(Dataset[Tensor]):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.folder / f"{index}.jpg") as picture:
            return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)


if __name__ == "__main__":
    main()

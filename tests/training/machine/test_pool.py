"""Images that are streamed to the device arrive in time, in the right rows, and change nothing of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from simssl.store.folder import RunFolder
from simssl.testing.fixtures import tiny_run
from simssl.testing.recording import Recorder
from simssl.training.capture.launcher import LONGEST
from simssl.training.machine.device_memory import available
from simssl.training.machine.pool import RESIDENT, CopyStream, Pool, Resident, Streamed, pool_of, put
from simssl.training.trainer import Trainer


class Late:
    """Copies that arrive at the last moment that is allowed, as on a stream of their own."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Tensor, int, Tensor]] = []
        self.copied = 0
        self.ahead = 0

    def copy(self, images_NCHW: Tensor, index_M: Tensor, ring_RCHW: Tensor, row: int, ahead: bool) -> None:
        assert len(index_M) <= len(ring_RCHW) // 2
        self.waiting.append((ring_RCHW, row, images_NCHW[index_M]))
        self.copied += len(index_M)
        self.ahead += len(index_M) if ahead else 0

    def arrive(self) -> None:
        while self.waiting:
            put(*self.waiting.pop(0))

    def launched(self) -> None:
        return


class Early(Late):
    """Copies that arrive at once, before a launch that may still be under way has taken its images."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Tensor] = []

    def copy(self, images_NCHW: Tensor, index_M: Tensor, ring_RCHW: Tensor, row: int, ahead: bool) -> None:
        super().copy(images_NCHW, index_M, ring_RCHW, row, ahead)
        super().arrive()


@pytest.mark.parametrize("copies", [Late, Early])
@pytest.mark.parametrize(("batch", "ring", "launches"), [(4, 16, (1, 2, 1)), (3, 24, (4, 1, 3, 2)), (5, 10, (1,))])
def test_every_batch_finds_its_images_also_while_the_next_are_copied(
    copies: type[Late], batch: int, ring: int, launches: tuple[int, ...]
) -> None:
    """A launch takes its images only after the copies for the next one were made: none of its rows is overwritten."""
    images_NCHW = torch.arange(50, dtype=torch.uint8).view(50, 1, 1, 1)
    ring_RCHW = torch.full((ring, 1, 1, 1), 255, dtype=torch.uint8)
    lane = copies()
    pool = Streamed(images_NCHW, ring_RCHW, lane)
    generator = torch.Generator().manual_seed(0)
    for start in (0, 2 * batch, 0):
        order_N = torch.randperm(50, generator=generator)
        pool.begin(order_N, start)
        position, number = start, 0
        while position + batch <= 50:
            steps = min(launches[number % len(launches)], (50 - position) // batch)
            end = position + steps * batch
            pool.ready(end)
            pool.launched(end)
            for first in range(position, end, batch):
                position_B = first + torch.arange(batch)
                index_B = order_N[position_B]
                assert torch.equal(pool.take(index_B, position_B), images_NCHW[index_B])
            position, number = end, number + 1
    assert lane.ahead > 0.5 * lane.copied


def test_a_run_on_streamed_images_is_the_same(tmp_path: Path) -> None:
    """Eager and captured, over three epochs, resumed in the second."""

    def go_on(folder: str, streamed: bool, graphs: Recorder | None, steps: int) -> Trainer:
        (tmp_path / folder).mkdir(exist_ok=True)
        trainer = Trainer(tiny_run(steps=48), RunFolder(tmp_path / folder), graphs)
        if streamed:
            ring_RCHW = torch.empty(2 * LONGEST * 6, *trainer.images_NCHW.shape[1:], dtype=torch.uint8)
            assert trainer.unit is not None
            pool: Pool = Streamed(trainer.images_NCHW, ring_RCHW, Late())
            trainer.pool = trainer.unit.pool = pool
        trainer.restore()
        while trainer.step < steps:
            trainer.train_step()
        return trainer

    expected = go_on("resident", False, None, 40).objective.state_dict()
    go_on("parts", True, Recorder(), 20).save()
    for trainer in (go_on("eager", True, None, 40), go_on("parts", True, Recorder(), 40)):
        for name, value in expected.items():
            assert torch.equal(value, trainer.objective.state_dict()[name]), name


def test_a_cpu_takes_the_images_from_where_they_are() -> None:
    images_NCHW = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    assert pool_of(images_NCHW, torch.device("cpu"), 2).images_NCHW is images_NCHW


def test_what_torch_keeps_of_freed_tensors_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run before has left a cache that takes nearly all of the device."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 10_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 9_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1_000)
    assert available(torch.device("cuda")) == 8_100


@pytest.mark.cuda
def test_on_cuda_images_stay_resident_beside_a_full_cache() -> None:
    """All but 3 GiB of the device is a cache of torch's, from a run before. Images of 2 GiB stay on the device."""
    device = torch.device("cuda", 0)
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    cached = torch.empty(free - 3 * 2**30, dtype=torch.uint8, device=device)
    del cached
    images_NCHW = torch.zeros(2, 1, 2**15, 2**15, dtype=torch.uint8)
    assert images_NCHW.nbytes > RESIDENT * torch.cuda.mem_get_info(device)[0]
    assert isinstance(pool_of(images_NCHW, device, 1), Resident)
    torch.cuda.empty_cache()


@pytest.mark.cuda
def test_on_cuda_images_that_do_not_fit_are_streamed_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "simssl")
    device, images_NCHW = torch.device("cuda"), torch.randint(0, 256, (1000, 3, 8, 8), dtype=torch.uint8)
    assert isinstance(pool_of(images_NCHW, device, 64), Resident)
    monkeypatch.setattr("simssl.training.machine.pool.available", lambda device: images_NCHW.nbytes)
    pool = pool_of(images_NCHW, device, 64)
    assert isinstance(pool, Streamed)
    assert isinstance(pool._copies, CopyStream)
    assert "are streamed from the host" in caplog.text
    order_N = torch.randperm(1000, device=device)
    pool.begin(order_N, 0)
    taken = []
    for first in range(0, 960, 64):
        pool.ready(first + 64)
        position_B = first + torch.arange(64, device=device)
        taken.append(pool.take(order_N[position_B], position_B))
        pool.launched(first + 64)
    assert torch.equal(torch.cat(taken).cpu(), images_NCHW[order_N[:960].cpu()])

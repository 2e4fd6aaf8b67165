"""A capture that fails leaves nothing behind: no memory that stays taken, no generator that refuses to draw."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch
from fake_cuda import CUDA, FakeCuda, FakeGenerator, installed

from simssl.blocks import cuda_graphs
from simssl.blocks.cuda_graphs import captured

INVALID = RuntimeError("CUDA error: operation failed due to a previous error during capture")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    monkeypatch.setattr(cuda_graphs, "ABANDONED", [])
    return installed(monkeypatch)


def fail() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.")


def test_a_capture_does_nothing_and_is_replayed(cuda: FakeCuda) -> None:
    graph = captured(lambda: None, CUDA)
    graph.replay()
    assert graph.replays == 1  # type: ignore[attr-defined]
    assert cuda.underway == []
    assert list(cuda.shares.values()) == [1]
    assert cuda_graphs.ABANDONED == []


@pytest.mark.parametrize("ends_itself", [False, True])
def test_an_invalid_capture_is_ended_and_its_memory_released_once(cuda: FakeCuda, ends_itself: bool) -> None:
    """By us, or by torch itself. The graph of the first kind is kept: the allocator of pinned memory still asks it."""
    cuda.invalid, cuda.ends_itself = INVALID, ends_itself
    generator = FakeGenerator()
    with pytest.raises(torch.OutOfMemoryError):
        captured(fail, CUDA, generators=[generator])  # type: ignore[list-item]
    assert cuda.underway == []
    assert list(cuda.shares.values()) == [0]
    assert not generator.refuses
    assert not cuda.default.refuses
    assert len(cuda_graphs.ABANDONED) == (0 if ends_itself else 1)


def test_a_call_that_raises_on_the_host_ends_a_valid_capture(cuda: FakeCuda) -> None:
    """The graph gives back its memory by itself, when nobody holds it."""
    with pytest.raises(torch.OutOfMemoryError):
        captured(fail, CUDA)
    assert cuda.underway == []
    assert list(cuda.shares.values()) == [1]
    assert cuda_graphs.ABANDONED == []


@pytest.mark.parametrize("where", ["the beginning", "the end"])
def test_a_capture_that_cannot_begin_or_end_is_told(cuda: FakeCuda, where: str) -> None:
    if where == "the beginning":
        cuda.fails = INVALID
    cuda.invalid = INVALID
    with pytest.raises(RuntimeError, match="previous error during capture"):
        captured(lambda: None, CUDA)
    assert cuda.underway == []
    assert list(cuda.shares.values()) == [0]


def test_a_shared_pool_stays_with_the_graphs_that_were_captured(cuda: FakeCuda) -> None:
    pool = cuda.handle()
    captured(lambda: None, CUDA, pool)
    cuda.invalid = INVALID
    with pytest.raises(torch.OutOfMemoryError):
        captured(fail, CUDA, pool)
    assert cuda.shares[pool] == 1


ON_CUDA = """
import gc
import torch
from simssl.blocks.cuda_graphs import beside, captured

device = torch.device("cuda", 0)
x = torch.ones(2**24, device=device)
before = torch.cuda.memory_reserved()

def wait():
    kept = [x + number for number in range(8)]
    kept[0].sum().item()

for _ in range(3):
    try:
        with beside(torch.cuda.Stream(device)):
            captured(wait, device)
    except RuntimeError as error:
        print(str(error).splitlines()[0])
    gc.collect()
    torch.cuda.empty_cache()
assert torch.cuda.memory_reserved() <= before + 2**21, (torch.cuda.memory_reserved(), before)
assert torch.randn(4, device=device).isfinite().all()
with beside(torch.cuda.Stream(device)):
    graph = captured(lambda: x.add_(1), device)
graph.replay()
assert x.eq(2).all()
print("all is given back")
"""


@pytest.mark.cuda
def test_on_cuda_a_failed_capture_gives_its_memory_back() -> None:
    """In a process of its own: where it fails, the process is of no use for other tests."""
    program = textwrap.dedent(ON_CUDA)
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.endswith("all is given back\n")

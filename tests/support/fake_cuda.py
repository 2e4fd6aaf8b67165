"""A CUDA device that is not there: the calls of torch that captures make, and an allocator that notes its pools."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

CUDA = torch.device("cuda", 0)


class FakeCuda:
    """The device's allocator and generators. `fails` is what a capture raises, and `invalid` what its end raises.

    `shares` counts, for each pool, the graphs that have a share in its memory. `ends_itself`: torch ends an invalid
    capture by itself, as newer versions do.
    """

    def __init__(self) -> None:
        self.fails: BaseException | None = None
        self.invalid: BaseException | None = None
        self.ends_itself = False
        self.underway: list[tuple[int, int]] = []
        self.shares: dict[tuple[int, int], int] = {}
        self.emptied = 0
        self.default = FakeGenerator()

    def handle(self) -> tuple[int, int]:
        return (0, len(self.shares) + 1)

    def end(self, device: int, pool: tuple[int, int]) -> None:
        if pool not in self.underway:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.underway.remove(pool)

    def release(self, device: int, pool: tuple[int, int]) -> None:
        self.shares[pool] -= 1
        assert self.shares[pool] >= 0

    def empty(self) -> None:
        self.emptied += 1


class FakeGenerator:
    """A generator that refuses to draw once a capture that it took part in has failed."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.refuses = False

    def get_state(self) -> torch.Tensor:
        return torch.Generator().get_state()

    def graphsafe_set_state(self, fresh: torch.Generator) -> None:
        self.refuses = False


def fake_graph(cuda: FakeCuda) -> type[Any]:
    class FakeGraph:
        def __init__(self) -> None:
            self.generators: list[FakeGenerator] = [cuda.default]
            self.replays = 0

        def register_generator_state(self, generator: FakeGenerator) -> None:
            self.generators.append(generator)

        def capture_begin(self, pool: tuple[int, int]) -> None:
            self._pool = pool
            cuda.underway.append(pool)
            cuda.shares[pool] = cuda.shares.get(pool, 0) + 1
            for generator in self.generators:
                generator.refuses = True
            if cuda.fails:
                raise cuda.fails

        def capture_end(self) -> None:
            if cuda.invalid:
                if cuda.ends_itself and self._pool in cuda.underway:
                    cuda.end(0, self._pool)
                    cuda.release(0, self._pool)
                raise cuda.invalid
            cuda.end(0, self._pool)
            for generator in self.generators:
                generator.refuses = False

        def replay(self) -> None:
            self.replays += 1

    return FakeGraph


def installed(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """Put the fake in the place of torch's calls, for the length of a test."""
    cuda = FakeCuda()

    @contextlib.contextmanager
    def nothing(*_: object) -> Iterator[None]:
        yield

    stream = SimpleNamespace(device=CUDA, wait_stream=lambda other: None)
    fakes = {
        "CUDAGraph": fake_graph(cuda),
        "Stream": lambda device: stream,
        "current_stream": lambda device: stream,
        "stream": nothing,
        "device": nothing,
        "synchronize": lambda device: None,
        "empty_cache": cuda.empty,
        "graph_pool_handle": cuda.handle,
        "default_generators": [cuda.default],
        "current_device": lambda: 0,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", cuda.end, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", cuda.release)
    return cuda

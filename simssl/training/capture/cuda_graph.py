"""Capture and replay on a CUDA device."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch

from simssl.blocks.cuda_graphs import MemoryPool, beside, captured


class CudaGraphs:
    """The graphs of a run, captured on one stream. No two of them are replayed at once.

    Graphs that follow the same warm-up share a pool of memory. No graph reads what another has left there: all that
    lasts lies outside of the pool. `generator` is the run's; a replay continues its draws.
    """

    def __init__(self, device: torch.device, generator: torch.Generator) -> None:
        self._device = device
        self._generator = generator
        self._stream = torch.cuda.Stream(device)
        self._pool: MemoryPool | None = None
        self._warm = False

    def warm_up(self, call: Callable[[], None]) -> None:
        """Call it eagerly. The first call may make the host wait, as it loads libraries; the others may not."""
        self._pool = None  # torch refuses a pool again once the graphs that used it are gone
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Synchronization debug mode is a prototype")
            torch.cuda.set_sync_debug_mode("error" if self._warm else "default")
        try:
            with beside(self._stream):
                call()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        self._warm = True

    def capture(self, call: Callable[[], None]) -> Callable[[], None]:
        """Capture the call into a graph, and return what replays it."""
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        with beside(self._stream):
            graph = captured(call, self._device, self._pool, [self._generator])
        return graph.replay

    def seconds(self, replay: Callable[[], None]) -> float:
        """Replay, and return the seconds that it took on the device."""
        start = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        start.record()
        replay()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000

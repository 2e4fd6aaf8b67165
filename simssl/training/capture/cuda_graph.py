"""Capture and replay on a CUDA device (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs)."""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from simssl.blocks.internals import register_generator


class CudaGraphs:
    """The graphs of a run, captured on one stream. No two of them are replayed at once.

    Graphs that follow the same warm-up share a pool of memory. No graph reads what another has left there: all that
    lasts lies outside of the pool. `generator` is the run's; a replay continues its draws.
    """

    def __init__(self, device: torch.device, generator: torch.Generator) -> None:
        index = torch.cuda.current_device() if device.index is None else device.index
        self._device = torch.device("cuda", index)
        self._generator = generator
        self._stream = torch.cuda.Stream(self._device)
        self._pool: Any = None
        self._warm = False

    @contextlib.contextmanager
    def _beside(self) -> Iterator[None]:
        """Launch on the stream of the captures, after what was launched before and before what is launched after."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)

    def warm_up(self, call: Callable[[], None]) -> None:
        """Call it eagerly. The first call may make the host wait, as it loads libraries; the others may not."""
        self._pool = None  # torch refuses a pool again once the graphs that used it are gone
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Synchronization debug mode is a prototype")
            torch.cuda.set_sync_debug_mode("error" if self._warm else "default")
        try:
            with self._beside():
                call()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        self._warm = True

    def capture(self, call: Callable[[], None]) -> Callable[[], None]:
        """Capture the call into a graph, and return what replays it."""
        graph = torch.cuda.CUDAGraph()
        register_generator(graph, self._generator)
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        torch.cuda.synchronize(self._device)
        gc.collect()
        torch.cuda.empty_cache()
        with self._beside():
            graph.capture_begin(pool=self._pool)
            try:
                call()
            except BaseException:
                with contextlib.suppress(RuntimeError):  # the capture is invalid, which is what is being told
                    graph.capture_end()
                raise
            graph.capture_end()
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

    def give_up(self) -> None:
        """Give the run's generator and the device's default one a new state each, with the same draws.

        In older versions of torch, a generator in the middle of a capture that failed refuses to draw ever after.
        """
        torch.cuda.synchronize(self._device)
        default = torch.cuda.default_generators[self._device.index]
        for generator in (self._generator, default):
            fresh = torch.Generator(self._device)
            fresh.set_state(generator.get_state())
            generator.graphsafe_set_state(fresh)

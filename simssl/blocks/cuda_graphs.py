"""CUDA graphs (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs), and what remains of a failed capture.

A capture fails where memory runs out, or where an operation makes the host wait. Training goes on then, without the
graph, so that nothing of it may stay behind.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from simssl.blocks.internals import end_allocation, register_generator

MemoryPool = Any
"""The handle of a pool of memory, from `torch.cuda.graph_pool_handle`."""

ABANDONED: list[torch.cuda.CUDAGraph] = []
"""The graphs of failed captures. The allocator of pinned memory asks them, as long as the process lives, which streams
they were captured on; torch gives no way to end that, and does not keep them itself."""


@contextlib.contextmanager
def beside(stream: torch.cuda.Stream) -> Iterator[None]:
    """Launch on this stream, after what was launched before on the current one, and before what is launched after."""
    current = torch.cuda.current_stream(stream.device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        yield
    current.wait_stream(stream)


def captured(
    call: Callable[[], None],
    device: torch.device,
    pool: MemoryPool | None = None,
    generators: Sequence[torch.Generator] = (),
) -> torch.cuda.CUDAGraph:
    """Capture the call on the current stream, without doing any of it, and return the graph.

    `pool` is one that graphs share which are never replayed at once; without it the graph has a pool of its own. The
    call may draw from the device's default generator, and from these `generators`.

    Raises whatever the call raises, and RuntimeError if the capture is invalid. Memory is given back then, and
    generators have their states of before.
    """
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        register_generator(graph, generator)
    pool = pool or torch.cuda.graph_pool_handle()
    torch.cuda.synchronize(device)
    gc.collect()
    torch.cuda.empty_cache()
    try:
        graph.capture_begin(pool=pool)
        call()
        graph.capture_end()
    except BaseException:
        _abandon(graph, pool, device)
        index = torch.cuda.current_device() if device.index is None else device.index
        for generator in (*generators, torch.cuda.default_generators[index]):
            _renew(generator)
        raise
    return graph


def _abandon(graph: torch.cuda.CUDAGraph, pool: MemoryPool, device: torch.device) -> None:
    """End a capture that has failed, also where torch does not end all of it."""
    with contextlib.suppress(RuntimeError):  # the capture is invalid, which is what is being told
        graph.capture_end()
    if end_allocation(pool, device):
        ABANDONED.append(graph)


def _renew(generator: torch.Generator) -> None:
    """Give a generator a new state with the same draws.

    In older versions of torch, one in the middle of a capture that failed refuses to draw ever after.
    """
    fresh = torch.Generator(generator.device)
    fresh.set_state(generator.get_state())
    generator.graphsafe_set_state(fresh)

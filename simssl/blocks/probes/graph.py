"""Many small operations as one launch."""

from __future__ import annotations

from collections.abc import Callable

import torch


def capture(call: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Return what repeats `call` on the same tensors: a CUDA graph of it, elsewhere `call` itself.

    Nothing is done yet. `call` must have been done once before, must not make the host wait, draws from no generator,
    and writes into tensors that stay where they are (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
    """
    if device.type != "cuda":
        return call
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph):
        call()
    return graph.replay

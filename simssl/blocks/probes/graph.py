"""Many small operations as one launch."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

from simssl.blocks.cuda_graphs import beside, captured
from simssl.errors import one_line


def capture(call: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Return what repeats `call` on the same tensors: a CUDA graph of it, elsewhere `call` itself.

    Nothing is done yet. `call` must have been done once before, must not make the host wait, draws from no generator
    but the device's default one, and writes into tensors that stay where they are
    (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
    If it cannot be captured, it is `call` itself on CUDA, too, and the log says why.
    """
    if device.type != "cuda":
        return call
    try:
        with torch.cuda.device(device), beside(torch.cuda.Stream(device)):
            graph = captured(call, device)
    except Exception as error:  # torch raises what it likes
        logging.getLogger("simssl").info(f"a probe is trained without a CUDA graph: {one_line(error)}")
        return call
    return graph.replay

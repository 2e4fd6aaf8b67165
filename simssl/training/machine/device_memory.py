"""Memory of a CUDA device. torch keeps what is freed, for itself, until it is told to give it back."""

from __future__ import annotations

import contextlib
import gc

import torch

from simssl.blocks.internals import clear_workspaces


def available(device: torch.device) -> int:
    """The bytes that new tensors can have: what is free on the device, and what torch keeps of freed tensors."""
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + kept


def give_back() -> None:
    """Give back what no tensor takes any more. No captured graph may be left. Nothing happens without CUDA."""
    if not torch.cuda.is_initialized():
        return
    gc.collect()
    with contextlib.suppress(RuntimeError):  # a device that has failed repeats its error at every call
        clear_workspaces()
        torch.cuda.empty_cache()

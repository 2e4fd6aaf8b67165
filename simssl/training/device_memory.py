"""Memory of a CUDA device. torch keeps what is freed, for itself, until it is told to give it back."""

from __future__ import annotations

import gc

import torch


def available(device: torch.device) -> int:
    """The bytes that new tensors can have: what is free on the device, and what torch keeps of freed tensors."""
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + kept


def give_back() -> None:
    """Give back what no tensor takes any more, captured graphs' memory included. Nothing happens without CUDA."""
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()

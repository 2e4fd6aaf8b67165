"""The number of threads that an operation of torch has on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALL = 2**22
"""Multiplications that one thread does before others have begun to help: some tenths of a millisecond. Ours."""


@contextmanager
def threads_for(multiplications: int) -> Iterator[None]:
    """One thread inside the `with`, if an operation has fewer than `SMALL` multiplications; else all that there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if multiplications < SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""The precision of what losses and representations are computed in."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor in float32 if its numbers are shorter than that (float16, bfloat16); else as it is."""
    if x.dtype.is_floating_point and torch.finfo(x.dtype).bits < 32:
        return x.float()
    return x

"""The number of training steps that the device has finished. The host reads it without waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor


class FinishedSteps:
    """A count of steps in the host's memory. The device writes it there after each launch, in its own time.

    Calling it returns the count. Any thread may call it.
    """

    def __init__(self, device: torch.device) -> None:
        self._count = torch.zeros((), dtype=torch.long, pin_memory=device.type == "cuda")

    def __call__(self) -> int:
        return int(self._count)

    def launched(self, taken: Tensor) -> None:
        """Let the device copy its own count once it has come so far."""
        self._count.copy_(taken, non_blocking=True)

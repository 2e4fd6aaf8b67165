"""The CUDA devices that the workers of a command take in turns."""

from __future__ import annotations

import os

import torch

from simssl.training.machine.device import choose_device

MIG = "MIG-"
"""The beginning of the names of parts of a device. CUDA shows a process one part alone, the first that is named."""


def devices_to_share(name: str) -> tuple[str, ...]:
    """Return the visible devices as CUDA_VISIBLE_DEVICES names them, or none if there are not several to share.

    `name` is what the user has chosen. A CPU is not shared in this way, and a device with a number is one for all.
    Devices are only counted, and none is opened.
    """
    device = choose_device(name)
    if device.type != "cuda" or device.index is not None:
        return ()
    visible = _visible()
    return visible if len(visible) > 1 else ()


def _visible() -> tuple[str, ...]:
    count = torch.cuda.device_count()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return tuple(str(number) for number in range(count))
    names = [name.strip() for name in chosen.split(",")]
    if all(name.startswith(MIG) for name in names):
        return tuple(names)
    return tuple(names[:count])  # CUDA ignores what follows a wrong name

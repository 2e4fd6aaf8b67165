"""The device that a process computes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from simssl.errors import UserError
from simssl.training.machine.device_name import NAMES, parsed


def choose_device(name: str) -> torch.device:
    """Return the device of this name: auto, cpu, cuda or cuda:N. UserError for another name, or if there is none.

    `cuda` is the current device of the process, the first one unless something else has chosen another. Devices are
    only counted here. None is opened, as that takes memory on it.
    """
    known = parsed(name)
    if known is None:
        *others, last = NAMES
        raise UserError(f"there is no device '{name}'; there are {', '.join(others)} and {last}")
    kind, number = known
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("no CUDA device was found; give --device cpu, or install a driver and a CUDA build of torch")
    if number is None:
        return torch.device("cuda")
    count = torch.cuda.device_count()
    if number >= count:
        there = "there is one, cuda:0" if count == 1 else f"there are {count}, cuda:0 to cuda:{count - 1}"
        raise UserError(f"there is no CUDA device {number}; {there}")
    return torch.device("cuda", number)


@contextmanager
def computing_on(device: torch.device) -> Iterator[None]:
    """Make a CUDA device the current one for as long as this lasts. Streams, events and graphs are on that one."""
    if device.type != "cuda":
        yield
        return
    with torch.cuda.device(device):
        yield

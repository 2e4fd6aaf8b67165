"""The machine that a benchmark runs on: what is said of it first, and the precisions that it has."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import torch

from simssl.experiment.settings import Training
from simssl.training.machine.device import choose_device
from simssl.training.machine.precision import computed_in, multiplies_bfloat16

PRECISIONS: tuple[str, ...] = get_args(Training.model_fields["precision"].annotation)
"""That a training step can have."""


def precisions(device: torch.device | None = None) -> list[str]:
    """Those that the device has; if none is given, the GPU, or the CPU if there is none."""
    device = device or choose_device("auto")
    return [p for p in PRECISIONS if computed_in(p, device) == p]


def about(*packages: str) -> str:
    """Versions of simssl, torch and these packages; the system, the processor and its cores, and the GPU."""
    versions = [f"{name} {version(name)}" for name in ("simssl", "torch", *packages)]
    where = [f"Python {platform.python_version()} on {platform.system()} {platform.machine()}", _processor()]
    if torch.cuda.is_available():
        where.append(torch.cuda.get_device_name())
    return f"{', '.join(versions)}; {'; '.join(where)}"


def _processor() -> str:
    try:
        names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    name = names[0] if names else platform.processor() or "an unknown processor"
    products = "" if multiplies_bfloat16() else ", no products of bfloat16"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores, {torch.get_num_threads()} threads{products}"

"""What a benchmark says first: the versions of what is measured, and the machine."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import torch

from simssl.training.precision import multiplies_bfloat16


def machine(*packages: str) -> str:
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

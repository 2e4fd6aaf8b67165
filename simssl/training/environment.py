"""What a run was made with: versions, device, threads, commit and times, for `environment.json`."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import torch

import simssl
from simssl.registry import Plugin

LIBRARIES = ("torch", "torchvision", "timm", "torchmetrics", "scikit-learn", "numpy", "pydantic", "pluggy")


def describe(device: torch.device, plugins: Iterable[Plugin]) -> dict[str, Any]:
    """Everything but the times, in plain JSON values."""
    return {
        "simssl": simssl.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "plugins": {f"{p.kind} {p.name}": f"{p.distribution} {p.version}" for p in sorted(plugins)},
        "device": device_name(device),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "command": sys.argv,
        "git": _git_commit(),
    }


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"


def _git_commit() -> str | None:
    """The commit of the folder that the command was given in, `+` if there are changes; None outside of git."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10)
        status = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() + ("+" if status.stdout.strip() else "")

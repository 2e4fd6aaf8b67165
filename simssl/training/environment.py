"""What a run was made with: versions, device, threads, commit and times, for `environment.json`."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch

import simssl
from simssl.errors import RunError
from simssl.registry import Plugin
from simssl.training.folder import RunFolder, read_json, write_json

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
        "command": sys.argv,
        "git": _git_commit(),
    }


class Record:
    """environment.json: what a run is made with, and when; the times of earlier starts stay."""

    def __init__(self, folder: RunFolder, made_with: dict[str, Any], warn: Callable[[str], None]) -> None:
        self._folder, self._made_with = folder, made_with
        try:
            before = (read_json(folder.environment) or {}).get("times", {})
            self._times = dict(before)
        except (RunError, TypeError, ValueError):
            warn(f"{folder.environment} is damaged and is written anew")
            self._times = {}
        self.add(first_started=self._times.get("first_started", now()), started=now())

    def add(self, **times: Any) -> None:
        """Write these times beside the others, and the number of threads as it is now."""
        self._times |= times
        threads = {"threads": torch.get_num_threads()}
        write_json(self._folder.environment, {**self._made_with, **threads, "times": self._times})


def now() -> str:
    """The time, with its zone, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


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

"""What a run was made with: versions, device, threads, commit and times, for `environment.json`."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch

import simssl
from simssl.errors import RunError
from simssl.experiment.model import Choice
from simssl.plugin.registry import BUILTIN, Plugin, Registry
from simssl.store.files import read_json, write_json
from simssl.store.folder import RunFolder

logger = logging.getLogger("simssl")

LIBRARIES = ("torch", "torchvision", "timm", "torchmetrics", "scikit-learn", "numpy", "pydantic", "pluggy")


def describe(device: torch.device, plugins: Iterable[Plugin]) -> dict[str, Any]:
    """Everything but the times, in plain JSON values."""
    used = sorted(plugins)
    return {
        "simssl": simssl.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "plugins": {f"{p.kind} {p.name}": f"{p.distribution} {p.version}" for p in used},
        "plugin_files": {f"{p.kind} {p.name}": {"path": p.module, "sha256": p.sha256} for p in used if p.sha256},
        "plugin_modules": {
            f"{p.kind} {p.name}": asdict(source) for p in used if not p.sha256 and (source := source_of(p))
        },
        "device": device_name(device),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "command": sys.argv,
        "git": _git_commit(),
    }


class Record:
    """environment.json: what a run was trained with and when, and what measured it last."""

    def __init__(self, folder: RunFolder, made_with: dict[str, Any], warn: Callable[[str], None]) -> None:
        self._folder, self._made_with = folder, made_with
        try:
            self._parts = {part: dict(found) for part, found in (read_json(folder.environment) or {}).items()}
            self._times = {part: dict(found["times"]) for part, found in self._parts.items()}
        except (RunError, KeyError, TypeError, ValueError):
            warn(f"{folder.environment} is damaged and is written anew")
            self._parts, self._times = {}, {}

    def add(self, part: Literal["training", "measurement"], precision: str = "float32", **times: Any) -> None:
        """Write what this process is, its number of threads as it is now, the precision that the device computes the
        part in, and these times beside earlier ones."""
        before = self._times.get(part, {})
        self._times[part] = {"first_started": before.get("first_started", now()), **before, **times}
        now_is = {"threads": torch.get_num_threads(), "precision": precision}
        self._parts[part] = {**self._made_with, **now_is, "times": self._times[part]}
        write_json(self._folder.environment, self._parts)


@dataclass(frozen=True)
class Source:
    """The file that a plugin is, or the module of an installed one."""

    path: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.path} (SHA-256 {self.sha256[:12]})"


def source_of(plugin: Plugin) -> Source | None:
    """What this plugin is; None for ours, whose version says it, and for what is not loaded or has no file."""
    if plugin.sha256:
        return Source(plugin.module, plugin.sha256)
    if plugin.distribution == BUILTIN or plugin.module not in sys.modules:
        return None
    return _source(sys.modules[plugin.module])


@cache
def _source(module: ModuleType) -> Source | None:
    """Read once, so that what is edited later in a process, which goes on with what it has loaded, is not taken for
    what it runs."""
    try:
        path = Path(module.__file__ or "")
        return Source(str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    except (AttributeError, OSError):
        return None


def sources(folder: RunFolder, *keys: str) -> dict[tuple[str, str], Source]:
    """Those under these keys that the run was trained and last measured with, by the plugin's kind and name; none if
    its record is damaged."""
    try:
        parts = read_json(folder.environment) or {}
        found = {
            name: source
            for part in ("measurement", "training")
            for key in keys
            for name, source in parts.get(part, {}).get(key, {}).items()
        }
        return {tuple(name.split(" ", 1)): Source(**source) for name, source in found.items()}
    except (RunError, AttributeError, KeyError, TypeError):
        return {}


def recalling(registry: Registry, folder: RunFolder) -> Registry:
    """The registry, which says of a plugin that is missing from which file it came when the run was made."""
    return registry.recalling({key: file.path for key, file in sources(folder, "plugin_files").items()})


def tell_of_changes(folder: RunFolder, choices: Iterable[Choice], registry: Registry) -> None:
    """Say, to the logger, which of these plugins, files and modules of others, are not what the run was made with."""
    then = sources(folder, "plugin_files", "plugin_modules")
    for choice in choices:
        before, plugin = then.get((choice.kind, choice.name)), registry.find(choice.kind, choice.name)
        after = source_of(plugin)
        if before and not (after and after.sha256 == before.sha256):
            logger.warning(
                f"{choice.kind} '{choice.name}' is not what {folder.path} was made with: then {before}, now "
                f"{after or plugin.source}; `simssl run ... --fresh` starts again with it"
            )


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

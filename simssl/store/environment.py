"""`environment.json`: the versions, device, threads, commit and times that a run was made with."""

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
from simssl.blocks.messages import printable_line
from simssl.errors import RunError
from simssl.experiment.model import Choice
from simssl.plugin.registry import BUILTIN, Plugin, Registry
from simssl.store.files import read_json, write_json
from simssl.store.folder import RunFolder

logger = logging.getLogger("simssl")

Json = dict[str, Any]
"""A mapping of plain JSON values."""

LIBRARIES = ("torch", "torchvision", "timm", "torchmetrics", "scikit-learn", "numpy", "pydantic", "pluggy")
"""The libraries whose versions are written down."""


def describe(device: torch.device, plugins: Iterable[Plugin]) -> Json:
    """Return what this process computes with, in plain JSON values. Times and threads are not among them."""
    versions: Json = {}
    files: Json = {}
    modules: Json = {}
    for plugin in sorted(plugins):
        key = f"{plugin.kind} {plugin.name}"
        versions[key] = f"{plugin.distribution} {plugin.version}"
        source = source_of(plugin)
        if source is None:
            continue
        if plugin.sha256:
            files[key] = asdict(source)
        else:
            modules[key] = asdict(source)
    return {
        "simssl": simssl.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "plugins": versions,
        "plugin_files": files,
        "plugin_modules": modules,
        "device": device_name(device),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "command": [printable_line(word) for word in sys.argv],
        "git": _git_commit(),
    }


class Record:
    """A run's environment.json. It has two parts: "training" and "measurement", the last one.

    A part says what the process computed with, and when. `made_with` is what `describe` returns. A file that is damaged
    is written anew; `warn` is told of it.
    """

    def __init__(self, folder: RunFolder, made_with: Json, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._made_with = made_with
        self._parts: dict[str, Json] = {}
        self._times: dict[str, Json] = {}
        try:
            parts = read_json(folder.environment) or {}
            for name, content in parts.items():
                part = dict(content)
                self._parts[name] = part
                self._times[name] = dict(part["times"])
        except (RunError, KeyError, TypeError, ValueError):
            warn(f"{folder.environment} is damaged and is written anew")
            self._parts.clear()
            self._times.clear()

    def add(self, part: Literal["training", "measurement"], precision: str = "float32", **times: Any) -> None:
        """Write a part anew: what this process computes with, its number of threads now, the precision and the times.

        `precision` is the one that the device computes the part in. `times` are added to the part's earlier ones.
        """
        before = self._times.get(part, {})
        first_started = before.get("first_started", now())
        self._times[part] = {"first_started": first_started, **before, **times}
        self._parts[part] = {
            **self._made_with,
            "threads": torch.get_num_threads(),
            "precision": precision,
            "times": self._times[part],
        }
        write_json(self._folder.environment, self._parts)


@dataclass(frozen=True)
class Source:
    """A plugin's code: the path of its one file, or of its module if it is installed, and the SHA-256 of that."""

    path: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.path} (SHA-256 {self.sha256[:12]})"


def source_of(plugin: Plugin) -> Source | None:
    """Return a plugin's code as this process has loaded it.

    None for built-in plugins, whose version says enough, and for modules that are not loaded or have no file.
    """
    if plugin.sha256:
        return Source(printable_line(plugin.module), plugin.sha256)
    if plugin.distribution == BUILTIN or plugin.module not in sys.modules:
        return None
    return _source(sys.modules[plugin.module])


@cache
def _source(module: ModuleType) -> Source | None:
    """Return a module's code; None if it has no file.

    The file is read once. A process goes on with the code that it has loaded, so what is edited later does not count.
    """
    try:
        path = Path(module.__file__ or "")
        digest = hashlib.sha256(path.read_bytes())
        return Source(printable_line(str(path)), digest.hexdigest())
    except (AttributeError, OSError):
        return None


def sources(folder: RunFolder, *keys: str) -> dict[tuple[str, str], Source]:
    """Return the plugins' code that a run was trained and last measured with, by the plugin's kind and name.

    `keys` are those of environment.json: "plugin_files", "plugin_modules". What it was trained with counts before what
    it was measured with. An environment.json that is damaged gives none.
    """
    try:
        parts = read_json(folder.environment) or {}
        recorded: Json = {}
        for part in ("measurement", "training"):
            for key in keys:
                plugins = parts.get(part, {}).get(key, {})
                recorded.update(plugins.items())
        by_plugin: dict[tuple[str, str], Source] = {}
        for label, source in recorded.items():
            code = Source(**source)
            if not (isinstance(code.path, str) and isinstance(code.sha256, str)):
                raise TypeError(source)
            kind, space, name = label.partition(" ")
            if space:  # a label without a kind is no plugin's
                by_plugin[kind, name] = code
    except (RunError, AttributeError, KeyError, TypeError):
        return {}
    return by_plugin


def recalling(registry: Registry, folder: RunFolder) -> Registry:
    """Return the registry, made to say of a missing plugin from which file it came when the run was made."""
    files = sources(folder, "plugin_files")
    paths = {plugin: file.path for plugin, file in files.items()}
    return registry.recalling(paths)


def tell_of_changes(folder: RunFolder, choices: Iterable[Choice], registry: Registry) -> None:
    """Tell the logger which of these plugins are not what the run was made with. Built-in ones are not compared."""
    recorded = sources(folder, "plugin_files", "plugin_modules")
    for choice in choices:
        before = recorded.get((choice.kind, choice.name))
        plugin = registry.find(choice.kind, choice.name)
        after = source_of(plugin)
        if before is None:
            continue
        if after is not None and after.sha256 == before.sha256:
            continue
        present = after or plugin.source
        logger.warning(
            f"{choice.kind} '{choice.name}' is not what {folder.path} was made with: then {before}, now "
            f"{present}; `simssl run ... --fresh` starts again with it"
        )


def now() -> str:
    """The time, with its zone, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def device_name(device: torch.device) -> str:
    """The device's name as it stands in records."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({platform.machine()})"


def _git_commit() -> str | None:
    """The commit of the folder that the command was given in, with a `+` if there are changes. None outside of git."""
    try:
        commit = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "-uno")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+" if changes else commit


def _git(*arguments: str) -> str:
    command = ["git", "-c", "core.fsmonitor=false", *arguments]  # which may name a program to run
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return finished.stdout.strip()

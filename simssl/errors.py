"""The errors that reach a user, each with the exit code of the command that ends in it."""

from __future__ import annotations

import inspect
import math
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class SimsslError(Exception):
    """An error whose message is a sentence for the user: what is wrong, where, and what to do."""

    exit_code = 1


class UserError(SimsslError):
    """The user's input is wrong: the file, an option, missing data, a broken plugin that the file names."""

    exit_code = 2


class ContractError(UserError, ValueError):
    """A plugin hands over what `simssl.api` does not take: its author's mistake, not the user's."""


class RunError(SimsslError):
    """A run failed: not-a-number, a corrupt checkpoint, a full disk."""


class LostProcessError(RunError):
    """Another process that trains the run, too, has ended or does not answer."""


class ToldError(SimsslError):
    """A run of several processes has ended, and another one of them tells the user why."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("another process says why")
        self.exit_code = exit_code


class RunHeld(RunError):
    """Another process is working on the run: `holder`."""

    def __init__(self, message: str, holder: str) -> None:
        super().__init__(message)
        self.holder = holder


def one_line(error: BaseException, near: Sequence[str] = (), otherwise: str = "") -> str:
    """Return an unexpected error in one line, with the innermost file and line that it passed.

    `near` are files, and folders around files. If the error passed one of them, the innermost line in them is taken.
    If it passed none, `otherwise` stands in its stead, where that is given.
    """
    if isinstance(error, SyntaxError) and error.filename:
        location = f"{error.filename}:{error.lineno}"
        return f"{type(error).__name__}: {error.msg} ({location})"
    return f"{summary(error)}{location_of(error, near, otherwise)}"


def summary(error: BaseException) -> str:
    """Return the type of an unexpected error, and the first line of its message. Where memory ran out, say that."""
    lack = lack_of_memory(error)
    if lack:
        return lack
    message = "no message"
    for line in str(error).splitlines():
        if line.strip():
            message = line.strip()
            break
    return f"{type(error).__name__}: {message}"


MEMORY = Path("/proc/meminfo")
"""The file in which Linux says how much memory there is."""


def lack_of_memory(error: BaseException) -> str | None:
    """Return the words for memory that ran out, of a device or of the host: how much was asked for, and was free.

    None for all other errors.
    """
    message = " ".join(str(error).split())
    if isinstance(error, MemoryError):  # Python's and NumPy's
        asked = re.search(r"Unable to allocate ([\d.]+ \w+)", message)
        return _asked_and_free(asked and asked[1], _size(free_memory()))
    if re.search("size calculation overflowed|multiplication overflow|Overflow when unpacking long", message):
        return "out of memory: more was asked for than any machine has"
    if not isinstance(error, RuntimeError):  # torch's
        return None
    on_host = re.search(r"DefaultCPUAllocator: .*tried to allocate (\d+) bytes", message)
    if on_host:
        return _asked_and_free(_size(int(on_host[1])), _size(free_memory()))
    if "out of memory" not in message and "ALLOC_FAILED" not in message:
        return None
    asked = re.search(r"Tried to allocate ([\d.]+ \w+)", message)
    free = re.search(r"of which ([\d.]+ \w+) is free", message)
    return _asked_and_free(asked and asked[1], free and free[1])


def _asked_and_free(asked: str | None, free: str | None) -> str:
    if asked and free:
        return f"out of memory: {asked} were asked for, and {free} were free"
    if asked:
        return f"out of memory: {asked} were asked for"
    return "out of memory"


def free_memory() -> float:
    """Return the bytes of memory that are free, or can be made free; infinity where the system does not say it."""
    try:
        text = MEMORY.read_text()
    except OSError:
        return math.inf
    available = re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE)
    return 1024 * float(available[1]) if available else math.inf


def _size(count: float) -> str | None:
    """A number of bytes, in the unit that fits it; None for infinity."""
    if count == math.inf:
        return None
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def shown(value: object, most: int) -> str:
    """Return a value in one line of at most `most` characters, whatever its `repr` does."""
    try:
        text = " ".join(repr(value).split())
    except Exception:
        return "an object"
    return text[:most]


def said(value: object, most: int = 60) -> str:
    """Return what came where something else should have: "None", or the value and its type."""
    if value is None:
        return "None"
    return f"{shown(value, most)} of type {type(value).__name__}"


def location_of(error: BaseException, near: Sequence[str], otherwise: str = "") -> str:
    """Return the innermost file and line that an error passed, " (file:line)", chosen as in `one_line`."""
    frames = []
    frames_near = []
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith("<frozen"):
            continue
        frames.append(frame)
        if _is_within(frame.filename, near):
            frames_near.append(frame)
    if otherwise and not frames_near:
        return otherwise
    candidates = frames_near or frames
    if not candidates:
        return ""
    innermost = candidates[-1]
    return f" ({innermost.filename}:{innermost.lineno})"


def _is_within(file: str, paths: Sequence[str]) -> bool:
    folders = tuple(f"{path}/" for path in paths)
    return file in paths or file.startswith(folders)


def line_of(thing: Any) -> str:
    """Return the file and line where a function, a method or a class is defined, " (file:line)"; "" if unknown."""
    try:
        file = inspect.getsourcefile(thing)
        _, line = inspect.getsourcelines(thing)
    except (OSError, TypeError):
        return ""
    return f" ({file}:{line or 1})"


def code_of(*plugins: type[Any]) -> list[str]:
    """Return the code of these plugins' packages: files, and folders around files."""
    code: list[str] = []
    for plugin in plugins:
        name, *_ = plugin.__module__.split(".")
        package = sys.modules.get(name)
        folders = getattr(package, "__path__", None)
        file = getattr(package, "__file__", None)
        if folders:
            code += folders
        elif file:
            code.append(file)
    return code


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived. Not an Exception, so that no plugin's guard swallows it."""

    def __init__(self, signum: int, message: str = "what was finished is saved") -> None:
        super().__init__(f"interrupted: {message}; the same command (without --fresh) goes on from there")
        self.signum = signum
        self.exit_code = 128 + signum


STOPS = (KeyboardInterrupt, Interrupted)
"""What a signal raises. All else that comes out of a plugin is the plugin's error, `sys.exit()`, too."""

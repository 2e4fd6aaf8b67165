"""The errors that reach a user, each with the exit code of the command that ends in it."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Sequence
from typing import Any


class SimsslError(Exception):
    """An error whose message is a sentence for the user: what is wrong, where, and what to do."""

    exit_code = 1


class UserError(SimsslError):
    """The user's input is wrong: the file, an option, missing data, a broken plugin that the file names."""

    exit_code = 2


class ContractError(UserError, ValueError):
    """What a plugin hands over is not what `simssl.api` takes: its author's mistake, not the user's."""


class RunError(SimsslError):
    """A run failed: not-a-number, a corrupt checkpoint, a full disk."""


class RunHeld(RunError):
    """Another process is working on the run."""


def one_line(error: BaseException, near: Sequence[str] = (), otherwise: str = "") -> str:
    """An unexpected error in one line, with the innermost place in a file: of those in `near`, files and folders
    around files, if it passed one of them, else `otherwise`, if that is given."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({error.filename}:{error.lineno})"
    return f"{summary(error)}{location_of(error, near, otherwise)}"


def summary(error: BaseException) -> str:
    """An unexpected error's type, and the first line of what it says."""
    lines = (line.strip() for line in str(error).splitlines())
    return f"{type(error).__name__}: {next(filter(None, lines), 'no message')}"


def shown(value: object, most: int) -> str:
    """A value in one line of at most so many characters, whatever its `repr` does."""
    try:
        return " ".join(repr(value).split())[:most]
    except Exception:
        return "an object"


def said(value: object, most: int = 60) -> str:
    """What came, where something else should have: "None", or the value and its type."""
    return "None" if value is None else f"{shown(value, most)} of type {type(value).__name__}"


def location_of(error: BaseException, near: Sequence[str], otherwise: str = "") -> str:
    """Where an error passed last in a file, " (file:line)", as `one_line` has it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    within = [f for f in frames if any(f.filename == path or f.filename.startswith(f"{path}/") for path in near)]
    if otherwise and not within:
        return otherwise
    innermost = (within or frames)[-1:]
    return "".join(f" ({frame.filename}:{frame.lineno})" for frame in innermost)


def line_of(thing: Any) -> str:
    """Where a function, a method or a class is defined, " (file:line)"; nothing where that is not known."""
    try:
        return f" ({inspect.getsourcefile(thing)}:{inspect.getsourcelines(thing)[1] or 1})"
    except (OSError, TypeError):
        return ""


def code_of(*plugins: type[Any]) -> list[str]:
    """The code of these plugins' packages: files, and folders around files."""
    code: list[str] = []
    for plugin in plugins:
        module = sys.modules.get(plugin.__module__.partition(".")[0])
        code += getattr(module, "__path__", None) or filter(None, [getattr(module, "__file__", None)])
    return code


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived. Not an Exception, so that no plugin's guard swallows it."""

    def __init__(self, signum: int, message: str = "what was finished is saved") -> None:
        super().__init__(f"interrupted: {message}; the same command (without --fresh) goes on from there")
        self.exit_code = 128 + signum

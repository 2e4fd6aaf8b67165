"""JSON in a run's files. What others may have written is read within bounds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from simssl.blocks.files import read_within, write_whole
from simssl.errors import RunError

MOST = 16_000_000
"""Most bytes of a record that is read. Those that simssl writes have thousands."""

DEPTH = 50
"""Most levels of nesting in a record."""


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all. ValueError if it holds a number that JSON does not know."""
    text = json.dumps(value, indent=2, allow_nan=False)
    write_whole(path, f"{text}\n".encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the mapping in a JSON file, or None if there is no file. RunError if the file is damaged."""
    try:
        value = json.loads(read_within(path, MOST))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); {_REMEDY}") from error
    except RecursionError as error:
        raise RunError(f"{path} cannot be read (it is nested too deeply); {_REMEDY}") from error
    except ValueError as error:
        raise RunError(f"{path} cannot be read ({error}); {_REMEDY}") from error
    try:
        check_plain(value)
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); {_REMEDY}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is not a mapping; {_REMEDY}")
    return value


_REMEDY = "move it away and give the same command again"


def check_plain(value: Any, level: int = 0) -> None:
    """ValueError if something in a record's value is no text or number that can be shown, or lies too deep."""
    if level > DEPTH:
        raise ValueError(f"it is nested more than {DEPTH} levels deep")
    if isinstance(value, dict):
        for key, inner in value.items():
            check_plain(key)
            check_plain(inner, level + 1)
    elif isinstance(value, list):
        for inner in value:
            check_plain(inner, level + 1)
    elif isinstance(value, str):
        _check_text(value)
    elif isinstance(value, (int, float)):
        _check_number(value)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a character") from None


def _check_number(number: float) -> None:
    if isinstance(number, int):
        if abs(number) >= 2**64:
            raise ValueError("it holds a whole number of more than 64 bits")
    elif not math.isfinite(number):
        raise ValueError("it holds a number that is not finite")

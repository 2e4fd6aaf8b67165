"""Files that are written whole or not at all, and JSON in them."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from simssl.errors import RunError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole. If that cannot be done, the file stays as it was before; RunError says why."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise RunError(
            f"{path} cannot be written ({error.strerror}); make room or mend it, then give the same command again"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all. ValueError if it holds a number that JSON does not know."""
    text = json.dumps(value, indent=2, allow_nan=False)
    write_whole(path, f"{text}\n".encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the mapping in a JSON file, or None if there is no file. RunError if the file is damaged."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}); move it away and give the same command again") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is not a mapping; move it away and give the same command again")
    return value

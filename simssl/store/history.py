"""history.jsonl: what was measured of a run while it was trained, one line for each step at which that was done.

A line is `{"step", "views", "metrics"}`, whose metrics are entries as in metrics.json. After a kill the steps since the
checkpoint are measured again: of two lines for one step the later counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simssl.blocks.files import open_own, read_within
from simssl.errors import RunError
from simssl.store.files import check_plain
from simssl.store.folder import RunFolder
from simssl.store.metrics import Entry, is_entry

MOST = 1_000_000_000
"""Most bytes that are read."""


@dataclass(frozen=True)
class Moment:
    """What was measured after a step of the training."""

    step: int
    views: int
    """The views that were shown by then."""
    metrics: Mapping[str, Entry]


def add_moment(folder: RunFolder, moment: Moment) -> None:
    """Add a line, which is on the disk when this returns. A last line that a kill has torn is dropped before.

    ValueError if it holds a number that JSON does not know; RunError if it cannot be written.
    """
    line = {"step": moment.step, "views": moment.views, "metrics": dict(moment.metrics)}
    text = json.dumps(line, allow_nan=False)
    try:
        descriptor = open_own(folder.history)
        with os.fdopen(descriptor, "r+b") as file:
            file.truncate(_whole(file.read()))
            file.seek(0, os.SEEK_END)
            file.write(f"{text}\n".encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunError(
            f"{folder.history} cannot be written ({error.strerror}); make room or mend it, then give the same command "
            "again"
        ) from error


def _whole(content: bytes) -> int:
    """The length of the whole lines."""
    return content.rfind(b"\n") + 1


def read_history(folder: RunFolder) -> list[Moment]:
    """Return what was measured, in the order of the steps; nothing if there is no file. RunError if it is damaged."""
    try:
        content = read_within(folder.history, MOST)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{folder.history} cannot be read ({error.strerror})") from error
    moments: dict[int, Moment] = {}
    for number, line in enumerate(content[: _whole(content)].splitlines(), 1):
        try:
            moment = _parsed(line)
        except (ValueError, RecursionError) as error:
            raise RunError(f"{folder.history} is damaged in line {number} ({error}); move it away") from error
        moments[moment.step] = moment
    return [moments[step] for step in sorted(moments)]


def _parsed(line: bytes) -> Moment:
    """The moment in a line. ValueError if it is none."""
    value: Any = json.loads(line)
    check_plain(value)
    if not isinstance(value, dict):
        raise ValueError("it is no mapping")
    metrics = value.get("metrics")
    if not (is_count(value.get("step")) and is_count(value.get("views")) and isinstance(metrics, dict)):
        raise ValueError("its step, views or metrics are no run's")
    for key, entry in metrics.items():
        if not is_entry(key, entry):
            raise ValueError(f"its {key} is no number with its protocol")
    return Moment(value["step"], value["views"], metrics)


def is_count(value: Any) -> bool:
    """True for a whole number from 0 on, such as a step."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0

"""Published tables, to stand beside our numbers: CSV files of anyone's, or installed ones by name."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simssl.errors import UserError
from simssl.plugin.registry import published_table


@dataclass(frozen=True)
class Published:
    """A published value, with its standard error and its source."""

    value: float
    stderr: float | None
    source: str
    selected_on: str
    """The split on which the best was taken, if that is told: `test` for the paper's."""


Subject = tuple[str, str, str]
"""A data set, an objective and a key."""

PublishedTable = Mapping[Subject, Published]
"""The published value of each subject."""


def read_published(name: str) -> PublishedTable:
    """Return a published table, by file or by name; UserError if there is none, or a line of it is wrong."""
    path = Path(os.path.expanduser(name))
    text = _text(path) if path.is_file() else published_table(name)
    if text is None:
        raise UserError(f"'{name}' is neither a file nor a published table that is installed, such as bizeul2024")
    table: dict[Subject, Published] = {}
    rows = csv.DictReader(io.StringIO(text))
    for line, row in enumerate(rows, start=2):
        try:
            value = _value(row)
            dataset = row["dataset"]
            objective = row["objective"]
            subject = (dataset, objective, row["key"])
        except (KeyError, TypeError, ValueError):
            columns = "dataset, objective, key, value, stderr, source (and selected_on)"
            raise UserError(f"{name}:{line}: a published value has the columns {columns}") from None
        if subject in table:
            named = ", ".join(subject)
            raise UserError(f"{name}:{line}: there is a value of {named} above already; leave one out")
        table[subject] = value
    return table


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def _value(row: Mapping[str, Any]) -> Published:
    """Return the value of a line; KeyError, TypeError or ValueError if the line has none."""
    value = float(row["value"])
    if not math.isfinite(value):
        raise ValueError(value)
    stderr = None
    if row["stderr"]:
        stderr = float(row["stderr"])
        if not math.isfinite(stderr):
            raise ValueError(stderr)
    selected_on = row.get("selected_on") or ""
    return Published(value, stderr, row["source"], selected_on)

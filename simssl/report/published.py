"""Published tables, to stand beside our numbers: CSV files of anyone's, or installed ones by name."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from simssl.errors import UserError
from simssl.plugin.registry import published_table


@dataclass(frozen=True)
class Published:
    value: float
    stderr: float | None
    source: str
    selected_on: str
    """The split on which the best was taken, if that is told: `test` for the paper's."""


def read_published(name: str) -> dict[tuple[str, str, str], Published]:
    """A published table, by file or by name: (data set, objective, key) -> value."""
    text = _text(Path(name)) if Path(name).is_file() else published_table(name)
    if text is None:
        raise UserError(f"'{name}' is neither a file nor a published table that is installed, such as bizeul2024")
    table: dict[tuple[str, str, str], Published] = {}
    for line, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        try:
            stderr = float(row["stderr"]) if row["stderr"] else None
            value = Published(float(row["value"]), stderr, row["source"], row.get("selected_on") or "")
            if not (math.isfinite(value.value) and math.isfinite(value.stderr or 0)):
                raise ValueError(value)
            place = row["dataset"], row["objective"], row["key"]
        except (KeyError, TypeError, ValueError):
            columns = "dataset, objective, key, value, stderr, source (and selected_on)"
            raise UserError(f"{name}:{line}: a published value has the columns {columns}") from None
        if place in table:
            raise UserError(f"{name}:{line}: there is a value of {', '.join(place)} above already; leave one out")
        table[place] = value
    return table


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error

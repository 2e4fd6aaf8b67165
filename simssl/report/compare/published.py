"""Published tables, to stand beside our numbers: CSV files of anyone's, or installed ones by name.

A column of a table whose name has a dot is a setting, such as `training.epochs` or `evaluator.k`. A value stands only
beside the numbers of runs, and of evaluators, that have it.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simssl.errors import UserError
from simssl.plugin.registry import published_table
from simssl.report.columns import Column
from simssl.report.runs import Run, Settings, flatten, settings_of


@dataclass(frozen=True)
class Published:
    """A published value, with its standard error and its source."""

    value: float
    stderr: float | None
    source: str
    selected_on: str
    """The split on which the best was taken, if that is told: `test` for the paper's."""
    protocol: str = ""
    """The way in which it was measured, if that is told, in words."""
    where: Mapping[str, str] = field(default_factory=dict)
    """The settings beside whose numbers it stands, by dotted key: `training.epochs`, or `evaluator.k`."""

    def fits(self, settings: Settings, evaluator: Settings) -> bool:
        """True if it stands beside a number of an evaluator with these settings, of runs with those."""
        its_own = settings | {f"evaluator.{key}": value for key, value in evaluator.items()}
        return all(_says(text, its_own.get(key)) for key, text in self.where.items())


Subject = tuple[str, str, str]
"""A data set, an objective and a key."""

PublishedTable = Mapping[Subject, Sequence[Published]]
"""The published values of each subject: one, or one for each of some settings."""


def read_published(name: str) -> PublishedTable:
    """Return a published table, by file or by name; UserError if there is none, or a line of it is wrong."""
    path = Path(os.path.expanduser(name))
    text = _text(path) if path.is_file() else published_table(name)
    if text is None:
        raise UserError(f"'{name}' is neither a file nor a published table that is installed, such as bizeul2024")
    table: dict[Subject, list[Published]] = {}
    rows = csv.DictReader(io.StringIO(text))
    for line, row in enumerate(rows, start=2):
        try:
            value = _value(row)
            dataset = row["dataset"]
            objective = row["objective"]
            subject = (dataset, objective, row["key"])
        except (KeyError, TypeError, ValueError):
            columns = "dataset, objective, key, value, stderr, source (and selected_on, protocol, training.epochs, ...)"
            raise UserError(f"{name}:{line}: a published value has the columns {columns}") from None
        above = table.setdefault(subject, [])
        if any(other.where == value.where for other in above):
            named = ", ".join(subject)
            raise UserError(f"{name}:{line}: there is a value of {named} above already; leave one out")
        above.append(value)
    return table


def value_beside(column: Column, run: Run, table: PublishedTable) -> Published | None:
    """Return the published value that stands beside a column of a run's row; None if there is none."""
    subject = (run.settings["dataset"]["name"], run.settings["objective"]["name"], column.published_key)
    values = table.get(subject)
    if values is None:
        return None
    settings = settings_of(run)
    evaluator = flatten(column.protocol.get("evaluator", {}))
    for published in values:
        if published.fits(settings, evaluator):
            return published
    return None


def _says(text: str, value: Any) -> bool:
    """True if a text of the table is this value of a setting."""
    try:
        return float(text) == value
    except ValueError:
        return text == str(value)


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
    where = {key: text for key, text in row.items() if key and "." in key and text}
    return Published(
        value,
        stderr,
        row["source"],
        selected_on=row.get("selected_on") or "",
        protocol=row.get("protocol") or "",
        where=where,
    )

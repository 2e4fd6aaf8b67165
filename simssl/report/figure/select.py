"""The runs of a figure: those of its archives that have some settings, and the one column of a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simssl.errors import UserError
from simssl.report.archive import read_archive
from simssl.report.columns import Column
from simssl.report.runs import Run, Settings, settings_of

Where = Mapping[str, Any]
"""Settings by dotted key, `name` and `seed` among them. A tuple stands for any of its values; None for a setting that
is empty, or that the run's method does not have."""

BRIEFLY = {"fraction": "0 to 1"}
"""Units in a plot's title, where they are not called by their names. A difference of fractions has no such bounds."""


def runs_in(archives: Iterable[str], root: Path) -> list[Run]:
    """The runs of these archives, whose paths are relative to `root`, in their order."""
    return [run for archive in archives for run in read_archive(root / archive)]


def every_setting(run: Run) -> Settings:
    """The run's settings that count, by dotted key, with the experiment's `name` and the `seed`."""
    return {"name": run.settings["name"], "seed": run.settings["seed"], **settings_of(run)}


def selected(runs: Sequence[Run], where: Where) -> list[Run]:
    """The runs with these settings; UserError if there are none, or if no run has one of the keys."""
    settings = [every_setting(run) for run in runs]
    for key in where:
        if not any(key in own for own in settings):
            raise UserError(f"no run has a setting '{key}'")
    kept = [run for run, own in zip(runs, settings, strict=True) if _fits(own, where)]
    if not kept:
        told = ", ".join(f"{key} {value}" for key, value in where.items())
        raise UserError(f"no run has {told}")
    return kept


def _fits(settings: Settings, where: Where) -> bool:
    for key, wanted in where.items():
        any_of = wanted if isinstance(wanted, tuple) else (wanted,)
        if settings.get(key) not in any_of:
            return False
    return True


def the_one(key: str, columns: Iterable[Column]) -> Column:
    """The column of this key; UserError if there is none, or if several protocols made its numbers."""
    named = [column for column in dict.fromkeys(columns) if column.key == key]
    if not named:
        raise UserError(f"no run has measured {key}")
    if len(named) > 1:
        raise UserError(f"{len(named)} protocols made {key}; choose runs of one of them with 'where'")
    return named[0]


def with_unit(title: str, column: Column, unit: str = "") -> str:
    """A plot's title: what it shows, the metric, and its unit, or this one, where the metric's key does not say it."""
    unit = unit or BRIEFLY.get(column.unit, column.unit)
    lower = ", lower is better" if column.better == "lower" else ""
    told = "" if column.key.endswith(f"/{unit}") else f" ({unit}{lower})"
    return f"{title}: {column.key}{told}"


def over_seeds(counts: Iterable[int]) -> str:
    """What points with so many seeds are: "mean and standard error over 2 to 3 seeds"."""
    ordered = sorted(set(counts))
    least, most = ordered[0], ordered[-1]
    if most == 1:
        return "one seed"
    return f"mean and standard error over {least if least == most else f'{least} to {most}'} seeds"

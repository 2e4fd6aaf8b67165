"""A report's table: rows of methods, columns of metrics, and what is known of each cell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simssl.report import words
from simssl.report.columns import Column, told_apart
from simssl.report.estimate import Estimate
from simssl.report.published import Published
from simssl.report.runs import Run, circumstances_of


@dataclass(frozen=True)
class Measured:
    """What the runs of a row found, by seed; beside it a published value, and the difference from another row."""

    by_seed: Mapping[int, float]
    published: Published | None = None
    difference: Estimate | None = None

    @property
    def ours(self) -> Estimate:
        return Estimate.of(list(self.by_seed.values()))


@dataclass(frozen=True)
class Absent:
    """A cell without a number: `why` is "not run", "unfinished", "unreadable" or "skipped", `reason` the skip's."""

    why: str
    reason: str = ""
    published: Published | None = None


@dataclass(frozen=True)
class Row:
    """The runs of one method and setting, that differ in their seeds alone."""

    label: str
    members: Sequence[Run]
    measured: Mapping[Column, Measured]
    absent: Mapping[Column, Absent]
    best: frozenset[Column] = frozenset()
    """Where no other method of its family is better, by more than a standard error."""

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.members[0].settings

    @property
    def experiment(self) -> str:
        return str(self.settings["name"])

    @property
    def objective(self) -> str:
        return str(self.settings["objective"]["name"])

    @property
    def runs(self) -> int:
        """How many have measured something."""
        return sum(run.status == "measured" for run in self.members)

    @property
    def family(self) -> str | None:
        """Of the method: untrained, discriminative or generative; None if that is not recorded."""
        return next((run.family for run in self.members if run.family), None)

    @property
    def names(self) -> set[str]:
        """What a user may call it."""
        return {self.label, self.objective}

    @property
    def circumstances(self) -> str:
        """What two methods must share to be compared: experiment, data, views, networks and budget."""
        return json.dumps([self.experiment, circumstances_of(self.members[0])], sort_keys=True)


@dataclass(frozen=True)
class Table:
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str]
    relative_to: str | None = None
    """The method that differences are taken from."""
    against: str | None = None
    """The published table whose values stand beside ours."""

    @property
    def summary(self) -> list[Column]:
        """The columns a terminal shows: of each evaluator what it gives as its summary, or else everything."""
        summarised = {c.label for c in self.columns if c.key.count("/") == 1}
        return [c for c in self.columns if not c.target or c.label not in summarised]

    @property
    def parts(self) -> list[Table]:
        """A table for each experiment, with the columns in which it has something."""
        return [self._of([r for r in self.rows if r.experiment == name]) for name in self.experiments]

    @property
    def alike(self) -> list[Table]:
        """A table for each data, views, networks and budget: of rows that can be compared."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.circumstances, []).append(row)
        return [self._of(rows) for rows in groups.values()]

    def where(self, part: Table) -> str:
        """What tells a part of those that are alike from the others: "views 1000"; nothing if there are no others."""
        every = [circumstances_of(row.members[0]) for row in self.rows]
        own = circumstances_of(part.rows[0].members[0])
        differing = [key for key in own if any(other.get(key) != own[key] for other in every)]
        return ", ".join(f"{key.removeprefix('training.')} {words.value(own[key])}" for key in differing)

    @property
    def experiments(self) -> list[str]:
        return list(dict.fromkeys(row.experiment for row in self.rows))

    def _of(self, rows: Sequence[Row]) -> Table:
        columns = [c for c in self.columns if any(c in row.measured or c in row.absent for row in rows)]
        return replace(self, columns=told_apart(columns), rows=rows)

"""A report's table: rows of methods, columns of metrics, and an entry where something is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from simssl.report import words
from simssl.report.columns import Column, told_apart
from simssl.report.compare.estimate import Estimate
from simssl.report.compare.published import Published
from simssl.report.labels import Label
from simssl.report.runs import Run, circumstances_of


@dataclass(frozen=True)
class Measured:
    """The numbers of a row's runs, by seed; beside them a published value, and the difference from another row."""

    by_seed: Mapping[int, float]
    published: Published | None = None
    difference: Estimate | None = None
    undertrained: bool = False
    """True if what measures a run of these, such as a probe, would do better if it were trained for longer."""
    held_out: Mapping[int, float] = field(default_factory=dict)
    """The same numbers on held-out images, by seed; those of runs that have none are left out."""

    @property
    def ours(self) -> Estimate:
        """The mean of the numbers."""
        values = list(self.by_seed.values())
        return Estimate.of(values)


@dataclass(frozen=True)
class Absent:
    """An entry without a number: `why` is "not run", "unfinished", "unreadable" or "skipped", `reason` the skip's."""

    why: str
    reason: str = ""
    published: Published | None = None


@dataclass(frozen=True)
class Row:
    """The runs of one method and setting, which differ in their seeds alone."""

    label: str
    members: Sequence[Run]
    measured: Mapping[Column, Measured]
    absent: Mapping[Column, Absent]
    best: frozenset[Column] = frozenset()
    """The columns in which no other method of its family is better by more than a standard error."""
    names_apart: Label | None = None
    """The label's other forms."""
    tried: int = 1
    """Settings of the method that this one was chosen from, by numbers on held-out images."""

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
        """The number of runs that have measured something."""
        measured = [run for run in self.members if run.status == "measured"]
        return len(measured)

    @property
    def family(self) -> str | None:
        """The method's: untrained, discriminative or generative; None if that is not recorded."""
        for run in self.members:
            if run.family:
                return run.family
        return None

    @property
    def names(self) -> set[str]:
        """The names that a user may call it by."""
        names = {self.label, self.objective}
        if self.names_apart:
            names.add(self.names_apart.in_full)
        return names

    @property
    def method(self) -> str:
        """The label without data, views, networks and budget."""
        return self.names_apart.without_circumstances if self.names_apart else self.label

    def label_among(self, where: str) -> str:
        """The label where data, views, networks and budget are told beside it, by `where`; empty if they are not."""
        return self.method if where else self.label

    @property
    def circumstances(self) -> str:
        """The text that two methods must share to be compared: of experiment, data, views, networks and budget."""
        circumstances = circumstances_of(self.members[0])
        return json.dumps([self.experiment, circumstances], sort_keys=True)


@dataclass(frozen=True)
class Table:
    """The rows and columns of a report, with the sentences below them."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str]
    relative_to: str | None = None
    """The method that differences are taken from."""
    against: str | None = None
    """The published table whose values stand beside ours."""
    chosen_by: str | None = None
    """The metric by whose numbers on held-out images one of several settings of a method was chosen."""

    @property
    def summary(self) -> list[Column]:
        """The columns a terminal shows: each evaluator's summary, or all of its columns if it has none."""
        summarised = set()
        for column in self.columns:
            if column.key.count("/") == 1:
                summarised.add(column.label)
        shown = []
        for column in self.columns:
            left_out = column.target and column.label in summarised
            if not left_out:
                shown.append(column)
        return shown

    @property
    def parts(self) -> list[Table]:
        """A table for each experiment, with the columns in which it has something."""
        parts = []
        for name in self.experiments:
            rows = [row for row in self.rows if row.experiment == name]
            parts.append(self._of(rows))
        return parts

    @property
    def named_parts(self) -> list[tuple[str, Table]]:
        """The table of each experiment, with its name if there are several."""
        parts = self.parts
        if len(parts) == 1:
            return [("", parts[0])]
        return list(zip(self.experiments, parts, strict=True))

    @property
    def alike(self) -> list[Table]:
        """A table for each data, views, networks and budget, whose rows can be compared."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.circumstances, []).append(row)
        return [self._of(rows) for rows in groups.values()]

    def where(self, part: Table) -> str:
        """The difference of a part of those that are `alike` from the others: "views 1000"; nothing if it is alone."""
        every = [circumstances_of(row.members[0]) for row in self.rows]
        first = part.rows[0]
        own = circumstances_of(first.members[0])
        differing = []
        for key, value in own.items():
            if any(other.get(key) != value for other in every):
                name = key.removeprefix("training.")
                differing.append(f"{name} {words.value(value)}")
        return ", ".join(differing)

    @property
    def experiments(self) -> list[str]:
        """The experiments' names, each once, in the order of their rows."""
        names = dict.fromkeys(row.experiment for row in self.rows)
        return list(names)

    def _of(self, rows: Sequence[Row]) -> Table:
        """The table of some rows, with the columns in which they have something."""
        known: set[Column] = set()
        for row in rows:
            known.update(row.measured)
            known.update(row.absent)
        columns = [column for column in self.columns if column in known]
        return replace(self, columns=told_apart(columns), rows=rows)

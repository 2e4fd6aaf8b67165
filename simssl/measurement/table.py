"""A report's table: rows of methods, columns of metrics, and what is known of each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simssl.measurement.estimate import Estimate
from simssl.measurement.published import Published
from simssl.measurement.runs import Run


@dataclass(frozen=True)
class Cell:
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
class Column:
    """A metric made by one protocol. `note` tells columns of one key apart."""

    key: str
    unit: str
    better: str | None
    protocol: Mapping[str, Any] = field(compare=False)
    note: str = ""
    role: str | None = field(default=None, compare=False)
    """content or style, if that is known of what is measured."""

    @property
    def label(self) -> str:
        """The evaluator's, in the experiment."""
        return self.key.split("/")[0]

    @property
    def layer(self) -> str:
        return str(self.protocol.get("layer", "representation"))

    @property
    def remark(self) -> str:
        """What a reader must know beside the key."""
        on_test = " (selected on test)" if self.protocol.get("selected_on") == "test" else ""
        return on_test + self.note

    @property
    def published_key(self) -> str:
        """The key by the evaluator's own name, whatever it is called here; `knn@projection/...` if it measured
        another layer than the representation."""
        _, *rest = self.key.split("/")
        at = "" if self.layer == "representation" else f"@{self.layer}"
        return "/".join([self.protocol.get("evaluator", {}).get("name", self.label) + at, *rest])

    @property
    def title(self) -> str:
        return self.key + self.remark


@dataclass(frozen=True)
class Row:
    """The runs of one method and setting, that differ in their seeds alone."""

    label: str
    members: Sequence[Run]
    cells: Mapping[Column, Cell]
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
    def runs(self) -> int:
        """How many are measured."""
        return sum(run.status == "measured" for run in self.members)

    @property
    def family(self) -> str | None:
        """Of the method: untrained, discriminative or generative; None if that is not recorded."""
        return next((run.family for run in self.members if run.family), None)

    @property
    def names(self) -> set[str]:
        """What a user may call it."""
        return {self.label, self.settings["objective"]["name"]}

    @property
    def circumstances(self) -> list[Any]:
        """What two methods must share to be compared: all but the objective and how it is optimised."""
        budget = [self.settings["training"].get(key) for key in ("views", "epochs")]
        return [
            self.experiment,
            *(self.settings[key] for key in ("dataset", "views", "backbone", "latent_dim")),
            budget,
        ]


@dataclass(frozen=True)
class Table:
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str]
    relative_to: str | None = None
    """The method that differences are taken from."""

    @property
    def summary(self) -> list[Column]:
        """The columns a terminal shows: of each evaluator what it gives as its summary, or else everything."""
        summarised = {c.label for c in self.columns if c.key.count("/") == 1}
        return [c for c in self.columns if c.key.count("/") == 1 or c.label not in summarised]

    def of(self, experiment: str) -> Table:
        """The rows of one experiment, and the columns in which they have something."""
        rows = [row for row in self.rows if row.experiment == experiment]
        columns = [c for c in self.columns if any(c in row.cells or c in row.absent for row in rows)]
        return Table(columns, rows, self.notes, self.relative_to)

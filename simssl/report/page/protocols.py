"""The section on how each number was made: the protocols, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simssl.report import words
from simssl.report.columns import CAME_OUT, Column, column_of
from simssl.report.page.compared import Facts
from simssl.report.runs import Run, flatten
from simssl.report.table import Table

MOST = 4
"""Most words that are told of what came out; numbers are told by their range."""

CameOut = Mapping[str, Any]
"""The things that were selected or found in a run, by their names."""


@dataclass(frozen=True)
class Protocol:
    """Columns of one evaluator whose protocols say the same."""

    columns: Sequence[Column]
    anchor: str
    facts: Facts
    """The facts that not all protocols of its evaluator share."""


@dataclass(frozen=True)
class Evaluator:
    label: str
    about: str
    """The text in which the evaluator describes itself."""
    shared: Facts
    protocols: Sequence[Protocol]


def evaluators_of(table: Table) -> list[Evaluator]:
    """The evaluators that have measured something, with their protocols."""
    abouts = _abouts(table)
    evaluators = []
    for label, protocols in _protocols(table).items():
        about = abouts.get(label, "")
        evaluators.append(_evaluator(label, about, protocols))
    return evaluators


def _protocols(table: Table) -> dict[str, list[Protocol]]:
    """The protocols of each evaluator's label, with all that they say."""
    came_out: list[Mapping[Column, CameOut]] = []
    for row in table.rows:
        came_out += map(_came_out, row.members)
    groups: dict[str, list[Column]] = {}
    for column in table.columns:
        if column.made:
            same = repr((column.label, _facts(column)))
            groups.setdefault(same, []).append(column)
    of_label: dict[str, list[Protocol]] = {}
    for i, columns in enumerate(groups.values(), 1):
        first = columns[0]
        protocol = Protocol(
            columns=columns,
            anchor=f"made-{i}",
            facts=_facts(first) + _in_all_runs(columns, came_out),
        )
        protocols = of_label.setdefault(first.label, [])
        protocols.append(protocol)
    return of_label


def anchors_of(evaluators: Sequence[Evaluator]) -> dict[Column, str]:
    """The anchor of each column's protocol."""
    anchors = {}
    for evaluator in evaluators:
        for protocol in evaluator.protocols:
            for column in protocol.columns:
                anchors[column] = protocol.anchor
    return anchors


def _abouts(table: Table) -> dict[str, str]:
    """Each evaluator's word on itself, from the first row that has it."""
    abouts: dict[str, str] = {}
    for row in reversed(table.rows):
        for run in row.members:
            abouts.update(run.about)
    return abouts


def _evaluator(label: str, about: str, protocols: Sequence[Protocol]) -> Evaluator:
    """Facts that all protocols share are told once, if there are several."""
    first, *others = protocols
    shared = first.facts if others else []
    for protocol in others:
        shared = [fact for fact in shared if fact in protocol.facts]
    own = []
    for protocol in protocols:
        facts = [fact for fact in protocol.facts if fact not in shared]
        own.append(replace(protocol, facts=facts))
    return Evaluator(
        label=label,
        about=about,
        shared=shared,
        protocols=own,
    )


def _facts(column: Column) -> Facts:
    """Unit and direction, and each part of the protocol, the evaluator with its parameters first."""
    protocol = dict(column.protocol)
    evaluator = protocol.pop("evaluator", {})
    named = isinstance(evaluator, Mapping) and "name" in evaluator
    facts = []
    if named:
        facts.append(("evaluator", words.plugin(evaluator)))
    direction = words.DIRECTIONS[column.better]
    facts.append(("unit", f"{column.unit}; {direction}"))
    if "data" in protocol:
        protocol["data fingerprint"] = protocol.pop("data")
    for key, value in flatten(protocol).items():
        if value not in words.NOTHING:
            facts.append((words.name(key), words.value(value)))
    return facts


def _came_out(run: Run) -> dict[Column, CameOut]:
    """The things that were selected or found in the run, by the column of the number."""
    came_out: dict[Column, CameOut] = {}
    for key, entry in run.metrics.items():
        if "value" in entry:
            protocol = entry["protocol"]
            told = {part: protocol[part] for part in CAME_OUT if part in protocol}
            column = column_of(key, entry)
            came_out[column] = flatten(told)
    return came_out


def _in_all_runs(columns: Sequence[Column], came_out: Sequence[Mapping[Column, CameOut]]) -> Facts:
    """The things that came out for these columns over the runs, by their names."""
    values: dict[str, list[Any]] = {}
    for of_run in came_out:
        for column in columns:
            for name, value in of_run.get(column, {}).items():
                of_name = values.setdefault(name, [])
                of_name += value if isinstance(value, list) else [value]
    facts = []
    for name, told in values.items():
        if told:
            facts.append((words.name(name), _range(told)))
    return facts


def _range(values: Sequence[Any]) -> str:
    """Numbers by the least and the largest, what is none by its words."""
    if all(map(_is_number, values)):
        low = _number(min(values))
        high = _number(max(values))
        if low == high:
            return low
        return f"{low} to {high}, by run"
    texts = map(words.value, values)
    told = list(dict.fromkeys(texts))
    if len(told) > MOST:
        return f"{len(told)} different ones, by run"
    return ", ".join(told)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, (int, float))


def _number(value: float) -> str:
    if isinstance(value, int):
        return words.value(value)
    return f"{value:.4g}"

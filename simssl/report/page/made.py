"""How each number was made: the protocols, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simssl.report import words
from simssl.report.columns import CAME_OUT, Column, column_of
from simssl.report.page.elements import Html, facts, folded, joined, key, paragraphs, section, tag
from simssl.report.runs import flatten
from simssl.report.table import Row

MOST = 4
"""Words that are told of what came out; numbers are told by their range."""

Groups = list[list[Column]]
"""Columns of one evaluator whose protocols say the same."""


def grouped(columns: Sequence[Column]) -> Groups:
    groups: dict[str, list[Column]] = {}
    for column in columns:
        if column.made:
            groups.setdefault(repr((column.label, _pairs(column))), []).append(column)
    return list(groups.values())


def anchors(groups: Groups) -> dict[Column, str]:
    """Where each column's protocol stands in the page."""
    return {column: f"made-{i}" for i, group in enumerate(groups, 1) for column in group}


def made(groups: Groups, rows: Sequence[Row], level: int) -> Html:
    """An evaluator unfolds: what it says of itself, what all its numbers share, and then each group's own."""
    how = (
        "Every number is measured on the frozen model, and stands in the run's metrics.json with the protocol below. "
        "Numbers that were made by different protocols stand in different columns."
    )
    about = {label: text for row in reversed(rows) for run in row.members for label, text in run.about.items()}
    places = anchors(groups)
    evaluators: dict[str, Groups] = {}
    for group in groups:
        evaluators.setdefault(group[0].label, []).append(group)
    parts = [
        folded(label, paragraphs(about.get(label, "")), _evaluator(of_label, rows, places))
        for label, of_label in evaluators.items()
    ]
    return section(level, "How each number was made", tag("p", how, class_="how"), joined(parts))


def _evaluator(groups: Groups, rows: Sequence[Row], places: Mapping[Column, str]) -> Html:
    told = [_pairs(group[0]) + _came_out(group, rows) for group in groups]
    shared = [pair for pair in told[0] if len(groups) > 1 and all(pair in pairs for pairs in told)]
    parts = [
        tag("div", _keys(group), facts(pair for pair in pairs if pair not in shared), id=places[group[0]])
        for group, pairs in zip(groups, told, strict=True)
    ]
    return joined([facts(shared) if shared else None, *parts])


def _keys(group: Sequence[Column]) -> Html:
    named = (joined([tag("code", key(column.key)), column.remark]) for column in group)
    return tag("p", joined(named, ", "))


def _pairs(column: Column) -> list[tuple[str, str]]:
    """Unit and direction, and each part of the protocol, the evaluator with its parameters first."""
    protocol = dict(column.protocol)
    evaluator = protocol.pop("evaluator", {})
    told = [("evaluator", words.plugin(evaluator))] if isinstance(evaluator, Mapping) and "name" in evaluator else []
    told.append(("unit", f"{column.unit}; {words.DIRECTIONS[column.better]}"))
    if "data" in protocol:
        protocol["data fingerprint"] = protocol.pop("data")
    return told + [(words.name(k), words.value(v)) for k, v in flatten(protocol).items() if v not in words.NOTHING]


def _came_out(group: Sequence[Column], rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What was selected or found in the runs, by its name."""
    found: dict[str, list[Any]] = {}
    for run in (run for row in rows for run in row.members):
        for column in group:
            entry = run.metrics.get(column.key, {})
            if "value" in entry and column_of(column.key, entry) == column:
                came_out = {key: entry["protocol"][key] for key in CAME_OUT if key in entry["protocol"]}
                for name, value in flatten(came_out).items():
                    found.setdefault(name, []).extend(value if isinstance(value, list) else [value])
    return [(words.name(name), _range(values)) for name, values in found.items() if values]


def _range(values: Sequence[Any]) -> str:
    """Numbers by the least and the largest, what is none by its words."""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        low, high = (words.value(v) if isinstance(v, int) else f"{v:.4g}" for v in (min(values), max(values)))
        return low if low == high else f"{low} to {high}, by run"
    told = list(dict.fromkeys(words.value(value) for value in values))
    return ", ".join(told) if len(told) <= MOST else f"{len(told)} different ones, by run"

"""How each number was made: the protocols, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simssl.measurement.page import words
from simssl.measurement.page.elements import Html, facts, folded, joined, key, section, tag
from simssl.measurement.runs import flatten
from simssl.measurement.table import Column, Row

DIRECTIONS = {"higher": "higher is better", "lower": "lower is better", None: "neither direction is better"}

Groups = list[list[Column]]
"""Columns of one evaluator whose protocols say the same."""


def grouped(columns: Sequence[Column]) -> Groups:
    groups: dict[str, list[Column]] = {}
    for column in columns:
        groups.setdefault(repr((column.label, column.unit, column.better, _pairs(column))), []).append(column)
    return list(groups.values())


def anchors(groups: Groups) -> dict[Column, str]:
    """Where each column's protocol stands in the page."""
    return {column: f"made-{i}" for i, group in enumerate(groups, 1) for column in group}


def made(groups: Groups, rows: Sequence[Row], level: int) -> Html:
    how = (
        "Every number is measured on the frozen model, and stands in the run's metrics.json with the protocol below. "
        "Numbers that were made by different protocols stand in different columns."
    )
    about = {label: text for row in reversed(rows) for run in row.members for label, text in run.about.items()}
    parts = [_group(group, f"made-{i}", about.get(group[0].label, "")) for i, group in enumerate(groups, 1)]
    return section(level, "How each number was made", tag("p", how, class_="how"), joined(parts))


def _group(group: Sequence[Column], anchor: str, about: str) -> Html:
    first = group[0]
    direction = f"{first.unit}; {DIRECTIONS[first.better]}"
    pairs = [("unit", direction), *_pairs(first)]
    keys = tag("p", joined((tag("code", key(column.key)) for column in group), ", ")) if len(group) > 1 else None
    return folded(f"{_title(group)}{first.remark}", words.paragraphs(about), keys, facts(pairs), id=anchor)


def _title(group: Sequence[Column]) -> str:
    more = f" and {len(group) - 1} more" if len(group) > 1 else ""
    return group[0].key + more


def _pairs(column: Column) -> list[tuple[str, str]]:
    """Each part of the protocol, the evaluator with its parameters first."""
    protocol = dict(column.protocol)
    evaluator = protocol.pop("evaluator", {})
    told = [("evaluator", words.plugin(evaluator))] if isinstance(evaluator, Mapping) and "name" in evaluator else []
    if "data" in protocol:
        protocol["data fingerprint"] = protocol.pop("data")
    return told + [(words.name(k), words.value(v)) for k, v in flatten(protocol).items() if v not in words.NOTHING]

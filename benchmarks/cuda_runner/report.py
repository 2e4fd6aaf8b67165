"""What was measured, as `on_cuda.json` and as `on_cuda.md`; the goals come first."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cuda_runner.process import Measured, Part, Row


@dataclass(frozen=True)
class Goal:
    """A number that rows with this goal's name are to reach: one at most, or one at least.

    The best of the rows counts, or the worst if every row has to reach it.
    """

    name: str
    about: str
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    every: bool = False

    def met(self, value: float) -> bool:
        if self.at_most is not None:
            return value <= self.at_most
        assert self.at_least is not None
        return value >= self.at_least

    def measured(self, rows: Sequence[Row]) -> float | None:
        """The value that counts; None if no row has this goal."""
        values = [float(row["value"]) for row in rows if row.get("goal") == self.name and "value" in row]
        if not values:
            return None
        small_is_good = self.at_most is not None
        return min(values) if small_is_good != self.every else max(values)


class Report:
    """The state of all parts, written anew whenever something has changed.

    The goals are of full sizes on CUDA: elsewhere they are not `judged`.
    """

    def __init__(
        self, parts: Sequence[Part], goals: Sequence[Goal], folder: Path, facts: dict[str, Any], judged: bool = True
    ) -> None:
        self.parts = [Measured(part) for part in parts]
        self.goals = goals
        self.folder = folder
        self.facts = {"begun": time.strftime("%Y-%m-%d %H:%M:%S"), **facts}
        self._judged = judged
        self._begun = time.monotonic()
        self._warned = False

    def write(self) -> None:
        """Write both files, each whole or not at all. What stands against it is told once, and stops nothing."""
        content = self.content()
        files = {"on_cuda.json": json.dumps(content, indent=1) + "\n", "on_cuda.md": _page(content)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                _replace(self.folder / name, text)
        except OSError as error:
            if not self._warned:
                print(f"{self.folder} cannot be written: {error}", file=sys.stderr, flush=True)
            self._warned = True

    def content(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        parts = []
        for measured in self.parts:
            part = measured.part
            parts.append(
                {
                    "part": part.name,
                    "about": part.about,
                    "limit": part.limit,
                    "status": measured.status,
                    "seconds": round(measured.seconds, 1),
                    "rows": measured.rows,
                    "said": list(measured.said),
                }
            )
        seconds = round(time.monotonic() - self._begun, 1)
        return {**self.facts, "seconds": seconds, "goals": list(self._goals()), "parts": parts}

    def _goals(self) -> Iterator[dict[str, Any]]:
        rows = [row for measured in self.parts for row in measured.rows]
        for goal in self.goals:
            value = goal.measured(rows) if self._judged else None
            verdict = "not measured"
            if value is not None:
                verdict = "met" if goal.met(value) else "not met"
            yield {"goal": goal.about, "verdict": verdict, "value": value, "unit": goal.unit}


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def _page(content: dict[str, Any]) -> str:
    facts = [f"{name} {value}" for name, value in content.items() if name not in ("goals", "parts")]
    lines = ["# simssl on CUDA", "", ", ".join(facts), "", "| goal | | measured |", "| --- | --- | --- |"]
    for goal in content["goals"]:
        value = "" if goal["value"] is None else f"{_number(goal['value'])} {goal['unit']}"
        lines.append(_table_row(goal["goal"], f"**{goal['verdict']}**", value))
    lines += ["", "| part | status | seconds |", "| --- | --- | --- |"]
    for part in content["parts"]:
        lines.append(_table_row(part["part"], part["status"], f"{part['seconds']} of {part['limit']:g}"))
    for part in content["parts"]:
        lines += _section(part)
    return "\n".join(lines) + "\n"


def _section(part: dict[str, Any]) -> Iterator[str]:
    yield from ("", f"## {part['part']}", "", f"{part['about']}: {part['status']}")
    if part["rows"]:
        yield from ("", "| what | value | unit | besides |", "| --- | --- | --- | --- |")
        for row in part["rows"]:
            yield _table_row(*_cells(row))
    if part["said"] and part["status"] != "ok":
        yield from ("", "```text", *part["said"], "```")


def _cells(row: Row) -> tuple[str, str, str, str]:
    rest = {name: value for name, value in row.items() if name not in ("what", "value", "unit", "goal")}
    besides = [f"{name.replace('_', ' ')} {_number(value)}" for name, value in rest.items()]
    return str(row.get("what", "")), _number(row.get("value", "")), str(row.get("unit", "")), ", ".join(besides)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 10_000 else str(value)


def _table_row(*cells: str) -> str:
    plain = [cell.replace("|", "\\|").replace("\n", " ") for cell in cells]
    return f"| {' | '.join(plain)} |"

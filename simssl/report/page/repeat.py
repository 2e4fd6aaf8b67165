"""The section on repeating the runs: commands, versions, device, threads and times."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from simssl.report import words
from simssl.report.page.compared import Facts
from simssl.report.page.files import PARTS, Record

SAME = ("device", "cuda", "threads", "precision", "simssl", "python", "platform", "libraries")
"""The parts of a record that tell machines apart."""


@dataclass(frozen=True)
class Machine:
    title: str
    facts: Facts


@dataclass(frozen=True)
class Repeat:
    commands: Mapping[str, int]
    """The number of runs that each command trained."""
    later: Sequence[str]
    """Commands that only measured."""
    times: str
    machines: Sequence[Machine]


def repeat(records: Sequence[Record]) -> Repeat | None:
    """The commands, each once, and the machines and versions, each once; None without records."""
    if not records:
        return None
    trained = _commands(records, "training")
    measured = _commands(records, "measurement")
    later = [text for text in dict.fromkeys(measured) if text not in trained]
    groups: dict[str, list[Record]] = {}
    for record in records:
        facts = [record.facts.get(key) for key in SAME]
        same = json.dumps(facts)
        groups.setdefault(same, []).append(record)
    machines = [_machine(group) for group in groups.values()]
    return Repeat(
        commands=Counter(trained),
        later=later,
        times=_times(records),
        machines=machines,
    )


def _commands(records: Sequence[Record], part: str) -> list[str]:
    """The commands of this part that are recorded."""
    commands = []
    for record in records:
        if record.part != part:
            continue
        command = record.facts.get("command")
        if command and isinstance(command, list):
            text = _command(command)
            if text:
                commands.append(text)
    return commands


def _command(recorded: Sequence[Any]) -> str:
    """The command as it was typed, but for the folder that simssl itself lies in."""
    program, *rest = map(str, recorded)
    if not program:
        return ""
    name = PurePath(program).name.replace("__main__.py", "simssl")
    return shlex.join([name, *rest])


def _times(records: Sequence[Record]) -> str:
    seconds = []
    first = []
    ended = []
    for record in records:
        times = record.facts.get("times")
        if not isinstance(times, dict):
            continue
        took = times.get("seconds")
        if record.part == "training" and isinstance(took, (int, float)):
            seconds.append(took)
        if "first_started" in times:
            first.append(str(times["first_started"]))
        if "ended" in times:
            ended.append(str(times["ended"]))
    total = f"{sum(seconds):,.0f} seconds of training in all."
    if first and ended:
        return f"Begun {min(first)}, last ended {max(ended)}; {total}"
    return total


def _machine(records: Sequence[Record]) -> Machine:
    """The facts that they share, and the commits and plugins of all of them."""
    first = records[0].facts
    facts = []
    for key in SAME:
        value = first.get(key)
        if value is not None:
            facts.append((key, _versions(value)))
    commits: dict[str, None] = {}
    plugins: dict[str, Any] = {}
    for record in records:
        commit = record.facts.get("git")
        if commit:
            commits[str(commit)] = None
        own = record.facts.get("plugins")
        if isinstance(own, dict):
            plugins.update(own)
    if commits:
        facts.append(("git commit", ", ".join(commits)))
    if plugins:
        by_name = dict(sorted(plugins.items()))
        facts.append(("plugins", _versions(by_name)))
    return Machine(_title(records), facts)


def _versions(what: Any) -> str:
    if not isinstance(what, dict):
        return str(what)
    versions = [f"{name} {version}" for name, version in what.items()]
    return ", ".join(versions)


def _title(records: Sequence[Record]) -> str:
    parts = Counter(record.part for record in records)
    counts = [words.count(parts[part], part) for part in PARTS if part in parts]
    return f"Machine and versions of {words.several(counts)}"

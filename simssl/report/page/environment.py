"""What the runs were made with: the commands to repeat them, versions, device, threads and times."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simssl.errors import RunError
from simssl.report import words
from simssl.report.page.elements import Html, facts, folded, section, tag
from simssl.report.runs import Run
from simssl.store.files import read_json
from simssl.store.folder import RunFolder

PARTS = ("training", "measurement")

SAME = ("device", "cuda", "threads", "precision", "simssl", "python", "platform", "libraries")
"""What tells machines apart."""

Records = list[tuple[str, Mapping[str, Any]]]
"""Parts of environment.json, each with its name."""


def environment(runs: Sequence[Run], level: int) -> Html:
    """The commands, each once, and the machines and versions, each once; from the runs' environment.json."""
    records = [(part, record) for run in runs if run.path for part, record in _read(run.path).items()]
    if not records:
        return Html()
    trained, measured = ([_command(record) for part, record in records if part == wanted] for wanted in PARTS)
    later = [text for text in dict.fromkeys(measured) if text and text not in trained]
    commands = [text for text in dict.fromkeys(trained) if text]
    machines: dict[str, Records] = {}
    for part, record in records:
        machines.setdefault(json.dumps([record.get(key) for key in SAME]), []).append((part, record))
    return section(
        level,
        "To repeat it",
        tag("p", "What is there already, a command skips; what is missing, it makes. The runs were made by:"),
        *(_block(text, trained.count(text)) for text in commands),
        folded("Commands that measured them later", *map(_block, later)) if later else None,
        tag("p", _times(records)),
        *(folded(_title(found), facts(_machine(found))) for found in machines.values()),
    )


def _block(command: str, runs: int = 0) -> Html:
    of = tag("figcaption", words.count(runs, "run")) if runs else None
    return tag("figure", tag("pre", tag("code", command)), of)


def _read(path: Path) -> dict[str, Mapping[str, Any]]:
    """The parts of environment.json that can be read."""
    try:
        document = read_json(RunFolder(path).environment) or {}
    except RunError:
        return {}
    return {part: document[part] for part in PARTS if isinstance(document.get(part), dict)}


def _command(record: Mapping[str, Any]) -> str:
    """As it was typed, but for the folder that simssl itself lies in."""
    command = record.get("command")
    program, *rest = map(str, command) if isinstance(command, list) and command else [""]
    return shlex.join([Path(program).name.replace("__main__.py", "simssl"), *rest]) if program else ""


def _machine(records: Records) -> list[tuple[str, str]]:
    """What they share, and the commits and plugins of all of them."""
    first = records[0][1]
    told = [(key, _versions(first[key])) for key in SAME if first.get(key) is not None]
    commits = dict.fromkeys(str(record["git"]) for _, record in records if record.get("git"))
    plugins = {k: v for _, record in records if isinstance(p := record.get("plugins"), dict) for k, v in p.items()}
    more = [("git commit", ", ".join(commits)), ("plugins", _versions(dict(sorted(plugins.items()))))]
    return told + [(key, text) for key, text in more if text]


def _versions(what: Any) -> str:
    return ", ".join(f"{name} {version}" for name, version in what.items()) if isinstance(what, dict) else str(what)


def _title(records: Records) -> str:
    parts = [part for part, _ in records]
    return f"Machine and versions of {words.several([words.count(parts.count(p), p) for p in PARTS if p in parts])}"


def _times(records: Records) -> str:
    times = [(part, found) for part, record in records if isinstance(found := record.get("times"), dict)]
    seconds = [found["seconds"] for part, found in times if part == "training" and "seconds" in found]
    first, ended = ([str(found[key]) for _, found in times if key in found] for key in ("first_started", "ended"))
    between = f"Begun {min(first)}, last ended {max(ended)}; " if first and ended else ""
    return f"{between}{sum(s for s in seconds if isinstance(s, (int, float))):,.0f} seconds of training in all."

"""The status of runs as text: lines for a terminal, or JSON."""

from __future__ import annotations

import json
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from simssl.blocks.messages import printable_line
from simssl.launch.status.status import STATES, RunStatus

NARROWEST = 24
"""Fewest characters of a line's last column. A terminal that has fewer breaks it by itself."""


def as_text(runs: Sequence[RunStatus], width: int | None = None, now: float | None = None) -> str:
    """Return a line for each run: number, folder, state, and what there is to say; then how many are in each state.

    What does not fit into `width` goes on below, indented.
    """
    now = time.time() if now is None else now
    names = _names(runs)
    longest = max(map(len, names))
    lines = []
    for run, name in zip(runs, names, strict=True):
        begin = f"{name:<{longest}}  {run.state:<8}  "
        lines += _wrapped(begin, printable_line(_details(run, now)), width)
    counts = Counter(run.state for run in runs)
    parts = [f"{counts[state]:,} {state}" for state in STATES if counts[state]]
    total = "1 run" if len(runs) == 1 else f"{len(runs):,} runs"
    return "\n".join([*lines, "", f"{total}: {', '.join(parts)}"])


def _names(runs: Sequence[RunStatus]) -> list[str]:
    """Number and folder of each run, with its experiment where there are several."""
    several = len({run.experiment for run in runs}) > 1
    digits = max(len(str(run.number or "")) for run in runs)
    names = []
    for run in runs:
        name = f"{run.experiment}/{run.folder.name}" if several else run.folder.name
        number = f"{run.number or '':>{digits}}  " if digits else ""
        names.append(number + printable_line(name))
    return names


def _wrapped(begin: str, details: str, width: int | None) -> list[str]:
    if width is None or len(begin) + len(details) <= width:
        return [(begin + details).rstrip()]
    indent = begin
    room = width - len(begin)
    if room < NARROWEST:  # all of it below
        indent = " " * 4
        room = max(NARROWEST, width - len(indent))
    parts = textwrap.wrap(details, room, break_on_hyphens=False)
    if indent != begin:
        return [begin.rstrip(), *(indent + part for part in parts)]
    below = " " * len(begin)
    return [begin + parts[0], *(below + part for part in parts[1:])]


def _details(run: RunStatus, now: float) -> str:
    """What there is to say of a run besides its state."""
    parts = []
    if run.state == "running":
        since = f" since {_clock(run.since, now)}" if run.since else ""
        parts.append(f"on {run.host or 'a machine'}{since}")
    if run.state == "queued" and run.job:
        parts.append(f"{run.job}")
    if run.steps and run.state in ("running", "stopped", "queued", "failed"):
        parts.append(f"step {run.step:,} of {run.steps:,}")
        if run.state == "running" and (run.measuring or run.step >= run.steps):
            parts.append("measuring")
    if run.state == "running" and run.ends:
        parts.append(f"ends {_clock(max(run.ends, now), now)}")
    if run.message:
        parts.append(run.message)
    return ", ".join(parts)


def _clock(when: float, now: float) -> str:
    """A time of the clock, with the day if it is not today."""
    try:
        then = time.localtime(when)
    except (OverflowError, ValueError, OSError):
        return "?"
    today = time.strftime("%Y-%m-%d", then) == time.strftime("%Y-%m-%d", time.localtime(now))
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)


def as_json(runs: Sequence[RunStatus]) -> str:
    """Return a list of one mapping for each run. Times are of the form 2026-01-31T12:00:00+0100."""
    return json.dumps([_mapping(run) for run in runs], indent=2)


def _mapping(run: RunStatus) -> dict[str, Any]:
    named = run.named
    return {
        "number": run.number,
        "folder": str(run.folder),
        "experiment": run.experiment,
        "objective": named["objective"] if named else None,
        "seed": int(named["seed"]) if named else None,
        "state": run.state,
        "host": run.host,
        "since": _time(run.since),
        "step": run.step,
        "steps": run.steps,
        "ends": _time(run.ends),
        "job": run.job,
        "message": run.message,
    }


def _time(when: float | None) -> str | None:
    if when is None:
        return None
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(when))
    except (OverflowError, ValueError, OSError):
        return None

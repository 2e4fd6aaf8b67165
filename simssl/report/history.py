"""What a run has measured while it trained, as an archive holds it: lists over the steps, and each protocol once.

Of a metric that the run has in the end, too, unit, direction and protocol stand there, and are not repeated.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from simssl.errors import RunError
from simssl.report.columns import CAME_OUT
from simssl.report.runs import Run
from simssl.store.folder import RunFolder
from simssl.store.history import Moment, is_count, read_history
from simssl.store.metrics import Entry, is_entry

Frame = dict[str, Any]
"""What the entries of a metric share over the steps: unit, direction, and the protocol but for what came out of it."""

Series = dict[str, Any]
"""A metric over the steps: `key`, lists of `value` and, where they are known, of `held_out`, `selected` and `found`,
with null where a step has none; and its frame, if the run's metrics have no such entry."""

FRAME = ("unit", "better", "protocol")


def history_of(run: Run) -> Sequence[Moment]:
    """What the run has measured while it trained. If that cannot be read, it is said and left out."""
    if run.path is None:
        return run.history
    try:
        return read_history(RunFolder(run.path))
    except RunError as error:
        logging.getLogger("simssl").warning(f"left out: {error}")
        return []


# --- packing


def packed(moments: Sequence[Moment], metrics: Mapping[str, Entry]) -> dict[str, Any]:
    """The moments as an archive holds them, without what was skipped. `metrics` are the run's in the end."""
    protocols: dict[str, int] = {}
    series: dict[tuple[str, str], Series] = {}
    for number, moment in enumerate(moments):
        for key, entry in moment.metrics.items():
            if "value" not in entry:
                continue
            frame = _text(_frame(entry))
            if (key, frame) not in series:
                series[key, frame] = {"key": key, **_framed(entry, metrics.get(key), protocols)}
            _put(series[key, frame], entry, number, len(moments))
    return {
        "step": [moment.step for moment in moments],
        "views": [moment.views for moment in moments],
        "series": list(series.values()),
        "protocols": [json.loads(text) for text in protocols],
    }


def numbers_in(moments: Sequence[Moment]) -> int:
    """How many numbers were measured in all."""
    return sum("value" in entry for moment in moments for entry in moment.metrics.values())


def _frame(entry: Entry) -> Frame:
    protocol = {name: part for name, part in entry["protocol"].items() if name not in CAME_OUT}
    return {"unit": entry["unit"], "better": entry.get("better"), "protocol": protocol}


def _text(frame: Frame) -> str:
    return json.dumps(frame, sort_keys=True)


def _framed(entry: Entry, last: Entry | None, protocols: dict[str, int]) -> Frame:
    """The frame, with the number of its protocol; nothing if the entry in the end has the same one."""
    frame = _frame(entry)
    if last and "value" in last and _text(_frame(last)) == _text(frame):
        return {}
    number = protocols.setdefault(json.dumps(frame["protocol"]), len(protocols))
    return {**frame, "protocol": number}


def _put(series: Series, entry: Entry, number: int, moments: int) -> None:
    """Put the numbers of an entry, and what came out, at their place in the lists."""
    came_out = {name: entry["protocol"].get(name) for name in CAME_OUT}
    told = {"value": entry["value"], "held_out": entry.get("held_out"), **came_out}
    for name, value in told.items():
        if value is not None:
            series.setdefault(name, [None] * moments)[number] = value


# --- unpacking


def unpacked(document: Mapping[str, Any], metrics: Mapping[str, Entry]) -> list[Moment]:
    """The moments in an archive's mapping; ValueError says what is wrong. `metrics` are the run's in the end."""
    steps, views, every, protocols = (_list(document, name) for name in ("step", "views", "series", "protocols"))
    if len(steps) != len(views) or not all(map(is_count, [*steps, *views])):
        raise ValueError("history has no steps with as many numbers of views")
    if steps != sorted(set(steps)):
        raise ValueError("history has steps that are not in order")
    moments: list[dict[str, Entry]] = [{} for _ in steps]
    for series in every:
        key = series.get("key") if isinstance(series, dict) else None
        if not isinstance(key, str):
            raise ValueError("history has a series without a key")
        frame = _unframed(series, key, metrics.get(key), protocols)
        for step, moment, entry in zip(steps, moments, _entries(series, key, frame, len(steps)), strict=True):
            if entry and key in moment:
                raise ValueError(f"history has two numbers of {key} at step {step}")
            if entry:
                moment[key] = entry
    return [Moment(step, shown, entries) for step, shown, entries in zip(steps, views, moments, strict=True)]


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list):
        raise ValueError(f"history has no list of {name}")
    return value


def _unframed(series: Series, key: str, last: Entry | None, protocols: Sequence[Any]) -> Frame:
    """The frame of a series, its own or that of the entry in the end."""
    if "protocol" not in series:
        if not last or "value" not in last:
            raise ValueError(f"history has no protocol of {key}")
        return _frame(last)
    number = series["protocol"]
    if not is_count(number) or number >= len(protocols) or not isinstance(protocols[number], dict):
        raise ValueError(f"history has no protocol of {key}")
    return {"unit": series.get("unit"), "better": series.get("better"), "protocol": protocols[number]}


def _entries(series: Series, key: str, frame: Frame, moments: int) -> list[Entry | None]:
    """The entry of a series at each moment, or None. Each series has its values, so that a small file is read soon."""
    unknown = [None] * moments
    lists = {"value": series.get("value")}
    lists |= {name: series.get(name, unknown) for name in ("held_out", *CAME_OUT)}
    if not all(isinstance(one, list) and len(one) == moments for one in lists.values()):
        raise ValueError(f"history has not one number of {key} a step")
    entries: list[Entry | None] = []
    for value, held_out, *came_out in zip(*lists.values(), strict=True):
        if value is None:
            entries.append(None)
            continue
        known = {name: part for name, part in zip(CAME_OUT, came_out, strict=True) if part is not None}
        entry = {**frame, "value": value}
        if known:
            entry["protocol"] = {**frame["protocol"], **known}
        if held_out is not None:
            entry["held_out"] = held_out
        if not is_entry(key, entry):
            raise ValueError(f"history has a number of {key} that is no metric")
        entries.append(entry)
    return entries

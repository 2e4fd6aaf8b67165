"""Settings, protocols and lists in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simssl.report.runs import flatten

NOTHING: tuple[Any, ...] = (None, False, 0, "", [], {})
"""Values that say "not this", and are left out."""

UNITS = {
    "fraction": "0 to 1",
    "R2": "R2: 1 is all of it, 0 is none",
    "skill": "1 is all of it, 0 is chance",
}
"""The explanation of a unit beside its name."""

DIRECTIONS = {
    "higher": "higher is better",
    "lower": "lower is better",
    None: "neither direction is better",
}
"""The words for a metric's direction."""


def value(what: Any) -> str:
    """A number, a word, or a list of them; consecutive whole numbers as a range."""
    if isinstance(what, bool):
        return "yes" if what else "no"
    if isinstance(what, int):
        if abs(what) < 10_000:
            return str(what)
        return f"{what:,}"
    if isinstance(what, list):
        if _is_range(what):
            first, *_, last = what
            return f"{first} to {last}"
        return ", ".join(map(value, what))
    return str(what)


def _is_range(items: list[Any]) -> bool:
    """Return whether these are more than two whole numbers, each one more than the last."""
    if len(items) < 3:
        return False
    if not all(isinstance(item, int) for item in items):
        return False
    first, *_, last = items
    if last - first != len(items) - 1:
        return False
    consecutive = range(first, last + 1)
    return items == list(consecutive)


def name(key: str) -> str:
    """A key in words: "crop scale" for "crop.scale"."""
    return key.replace("_", " ").replace(".", " ")


def settings(tree: Mapping[str, Any]) -> str:
    """All that is set and says something: "crop scale 0.4, 1.0; crop ratio 0.75, 1.3333"."""
    told = []
    leaves = flatten(dict(tree))
    for key, item in leaves.items():
        if item in NOTHING:
            continue
        told.append(f"{name(key)} {value(item)}")
    return "; ".join(told)


def plugin(choice: Mapping[str, Any]) -> str:
    """A plugin's name, and its parameters in brackets."""
    parameters = dict(choice)
    plugin_name = str(parameters.pop("name"))
    inside = settings(parameters)
    if not inside:
        return plugin_name
    return f"{plugin_name} ({inside})"


def several(words: list[str]) -> str:
    """Words in a row: "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    *others, last = words
    listed = ", ".join(others)
    return f"{listed} and {last}"


def count(number: int, thing: str) -> str:
    """A number of things: "1 run", "2 runs"."""
    if number == 1:
        return f"{number} {thing}"
    return f"{number} {thing}s"


def short(text: str, most: int = 24) -> str:
    """The text, or the beginning and the end of a text of more than `most` characters."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    tail = most - 1 - head
    beginning = text[:head]
    end = text[-tail:]
    return f"{beginning}\N{HORIZONTAL ELLIPSIS}{end}"


def all_short(texts: Sequence[str]) -> list[str]:
    """The texts, shortened where they stay different."""
    shortened = [short(text) for text in texts]
    names = []
    for text, name in zip(texts, shortened, strict=True):
        names.append(text if shortened.count(name) > 1 else name)
    return names

"""Settings and protocols in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simssl.report.runs import flatten

NOTHING: tuple[Any, ...] = (None, False, 0, "", [], {})
"""Values that say "not this", and are left out."""

UNITS = {"fraction": "0 to 1", "R2": "R2: 1 is all of it, 0 is none"}
"""What is said of a unit beside its name."""

DIRECTIONS = {"higher": "higher is better", "lower": "lower is better", None: "neither direction is better"}
"""What is said of a metric's direction."""


def value(what: Any) -> str:
    """A number, a word, or a list of them; consecutive whole numbers as a range."""
    if isinstance(what, bool):
        return "yes" if what else "no"
    if isinstance(what, int):
        return f"{what:,}" if abs(what) >= 10_000 else str(what)
    if isinstance(what, list):
        whole = len(what) > 2 and all(isinstance(item, int) for item in what)
        if whole and what == list(range(what[0], what[-1] + 1)):
            return f"{what[0]} to {what[-1]}"
        return ", ".join(map(value, what))
    return str(what)


def name(key: str) -> str:
    return key.replace("_", " ").replace(".", " ")


def settings(tree: Mapping[str, Any]) -> str:
    """What is set and says something: "crop scale 0.4, 1.0; crop ratio 0.75, 1.3333"."""
    told = {key: item for key, item in flatten(dict(tree)).items() if item not in NOTHING}
    return "; ".join(f"{name(key)} {value(item)}" for key, item in told.items())


def plugin(choice: Mapping[str, Any]) -> str:
    """A plugin's name, and its parameters in brackets."""
    inside = settings({key: item for key, item in choice.items() if key != "name"})
    return f"{choice['name']} ({inside})" if inside else str(choice["name"])


def several(words: list[str]) -> str:
    """ "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def short(text: str, most: int = 24) -> str:
    """The beginning and the end of what is longer."""
    head = (most - 1) // 2
    return text if len(text) <= most else f"{text[:head]}\N{HORIZONTAL ELLIPSIS}{text[head + 1 - most :]}"

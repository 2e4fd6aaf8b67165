"""Parts of sentences: what other libraries' errors say, and long lists cut short."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence


def reason(error: Exception) -> str:
    """The error's text on one line, or its kind if it has none."""
    text = str(error) or type(error).__name__
    return " ".join(text.split())


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    first = ", ".join(names[:most])
    more = len(names) - most
    return f"{first} and {more:,} more" if more > 0 else first


def four_digits(values: Iterable[float]) -> list[float | None]:
    """The values with four digits; None for what is no number."""
    return [None if value != value else float(f"{value:.4g}") for value in values]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is nearest, whatever its letters' case; None if none is near."""
    by_letters = {name.lower(): name for name in sorted(known)}
    near = difflib.get_close_matches(word.lower(), by_letters, n=1)
    return by_letters[near[0]] if near else None


CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # what moves a terminal's cursor, or begins its commands
    r"|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"  # what breaks lines, or turns their direction
    r"|[\ud800-\udfff]"  # halves of characters
)


def printable(text: str) -> str:
    """The text, in which control characters are told as in Python, such as \\x1b. Tabs and ends of lines stay."""
    return CONTROL.sub(_escape, text)


def printable_line(text: str) -> str:
    """The text in one line: `printable`, with tabs and ends of lines told, too."""
    return re.sub(r"[\t\n]", _escape, printable(text))


def _escape(character: re.Match[str]) -> str:
    return character[0].encode("unicode_escape").decode()

"""Parts of sentences: what other libraries' errors say, and long lists cut short."""

from __future__ import annotations

import difflib
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


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is nearest, whatever its letters' case; None if none is near."""
    by_letters = {name.lower(): name for name in sorted(known)}
    near = difflib.get_close_matches(word.lower(), by_letters, n=1)
    return by_letters[near[0]] if near else None

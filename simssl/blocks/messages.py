"""Parts of sentences: what other libraries' errors say, and long lists cut short."""

from __future__ import annotations

from collections.abc import Sequence


def reason(error: Exception) -> str:
    """The error's text on one line, or its kind if it has none."""
    return " ".join((str(error) or type(error).__name__).split())


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")

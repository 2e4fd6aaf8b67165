"""What other libraries' errors say, as part of a sentence of ours."""

from __future__ import annotations


def reason(error: Exception) -> str:
    """The error's text on one line, or its kind if it has none."""
    return " ".join((str(error) or type(error).__name__).split())

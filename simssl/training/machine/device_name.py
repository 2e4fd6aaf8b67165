"""The names of devices. This module does not load torch, so that a wrong name is told at once."""

from __future__ import annotations

import re

NAMES = ("auto", "cpu", "cuda", "cuda:N")
"""The names there are. N is the number of a CUDA device, from 0."""

_NUMBERED = re.compile(r"cuda:(0|[1-9][0-9]*)")


def parsed(name: str) -> tuple[str, int | None] | None:
    """Return the kind of device that a name means, auto, cpu or cuda, and its number if it has one.

    None if there is no such name.
    """
    if name in ("auto", "cpu", "cuda"):
        return name, None
    match = _NUMBERED.fullmatch(name)
    if match is None:
        return None
    number = int(match[1])
    return "cuda", number

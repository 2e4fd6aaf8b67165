"""Python's warnings become words for the logger "simssl", which are told once, from however many processes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import TextIO


def log_warnings() -> Callable[[], None]:
    """Send warnings to the logger from now on. Return what undoes it."""
    before = warnings.showwarning
    warnings.showwarning = _log

    def undo() -> None:
        warnings.showwarning = before

    return undo


def _log(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    logging.getLogger("simssl").warning(f"{category.__name__}: {message} ({filename}:{lineno})")

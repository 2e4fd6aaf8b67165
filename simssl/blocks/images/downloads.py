"""Downloads that fail and leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def without_leftovers(*folders: Path) -> Iterator[None]:
    """Remove the folders, inner ones first, that a body that fails has made and left empty."""
    new = [folder for folder in folders if not folder.exists()]
    try:
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):
                folder.rmdir()
        raise

"""What a download that fails leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def without_leftovers(*folders: Path) -> Iterator[None]:
    """If what stands inside fails, remove those of the folders, inner ones first, that it made and left empty."""
    new = [folder for folder in folders if not folder.exists()]
    try:
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):
                folder.rmdir()
        raise

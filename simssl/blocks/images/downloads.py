"""Downloads: whether there may be one, and those that fail and leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

_MAY_DOWNLOAD = ContextVar("_MAY_DOWNLOAD", default=True)


def may_download() -> bool:
    """False where data is only looked at: a data set that is not there is not fetched for that."""
    return _MAY_DOWNLOAD.get()


@contextmanager
def no_downloads() -> Iterator[None]:
    """Make `may_download` False for as long as this lasts."""
    token = _MAY_DOWNLOAD.set(False)
    try:
        yield
    finally:
        _MAY_DOWNLOAD.reset(token)


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

"""The image files below a folder, by their names."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

from PIL import Image

from simssl.blocks.messages import listed

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""The ends of images' names, in small letters."""

OF_A_SYSTEM = frozenset(
    {
        "@eaDir",  # Synology's thumbnails
        "@Recycle",
        "@Recently-Snapshot",
        "#recycle",
        "#snapshot",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        "__MACOSX",  # what macOS adds to a zip file
    }
)
"""Names of folders that a disk, a server or a packer makes beside a user's own. They are left out, as hidden ones."""


@cache
def _readable_suffixes() -> frozenset[str]:
    """Those that this Pillow reads: not every one reads AVIF. Asked late, for the answer imports every decoder."""
    return SUFFIXES & Image.registered_extensions().keys()


def find_images(folder: Path, below: str = "", passed: frozenset[str] = frozenset()) -> list[str]:
    """The images' paths relative to the folder, sorted, however deep they lie below `below`.

    What is hidden or of a system is left out, and so are folders whose real path is `passed`. Files that are no images
    by their names are left out too, and the log says so. ValueError if there are no images, or a folder cannot be read.
    """
    suffixes = _readable_suffixes()
    images = []
    others = []
    start = os.path.realpath(folder / below)
    for name in _files(folder, below, passed | {start}):
        if PurePosixPath(name).suffix.lower() in suffixes:
            images.append(name)
        else:
            others.append(name)
    if others:
        names = listed(sorted(others))
        logging.getLogger("simssl").info(f"{folder}: left out, no image by its name: {names}")
    if not images:
        known = ", ".join(sorted(suffixes))
        raise ValueError(f"{folder / below} has no images; read are names that end in {known}")
    return sorted(images)


def folder_entries(folder: Path, passed: frozenset[str]) -> dict[str, str | None]:
    """The names of what lies in a folder, sorted: with the real path of folders, or links to one, and None of files.

    What is hidden or of a system is left out, and so are folders whose real path is `passed`. ValueError if the folder
    cannot be read.
    """
    try:
        with os.scandir(folder) as scanned:
            visible = [(entry.name, entry.is_dir()) for entry in scanned if _is_users(entry.name)]
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read ({error.strerror}); mend it or take it away") from error
    entries: dict[str, str | None] = {}
    for name, is_folder in sorted(visible):
        path = os.path.realpath(folder / name) if is_folder else None
        if path not in passed:
            entries[name] = path
    return entries


def _is_users(name: str) -> bool:
    return not name.startswith(".") and name not in OF_A_SYSTEM


def _files(folder: Path, below: str, passed: frozenset[str]) -> Iterator[str]:
    """The paths of all files below, relative to the folder, through links too."""
    for name, real in folder_entries(folder / below, passed).items():
        inner = os.path.join(below, name)
        if real is None:
            yield inner
        else:
            yield from _files(folder, inner, passed | {real})

"""The image files below a folder, by their names."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from PIL import Image

from simssl.blocks.messages import listed

SUFFIXES = Image.registered_extensions().keys() & {
    *(".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
}
"""In small letters; not every Pillow reads AVIF."""


def find(folder: Path, below: str = "", passed: frozenset[str] = frozenset()) -> list[str]:
    """The images' names as seen from the folder, sorted, however deep they lie; what else there is is told.

    What is hidden is left out, and so are folders whose real path is `passed`. ValueError if there are no images, or
    a folder cannot be read.
    """
    files = list(_files(folder, below, passed | {os.path.realpath(folder / below)}))
    images = sorted(name for name in files if PurePosixPath(name).suffix.lower() in SUFFIXES)
    if others := sorted(set(files) - set(images)):
        logging.getLogger("simssl").info(f"{folder}: left out, no image by its name: {listed(others)}")
    if not images:
        raise ValueError(f"{folder / below} has no images; read are names that end in {', '.join(sorted(SUFFIXES))}")
    return images


def entries(place: Path, passed: frozenset[str]) -> dict[str, str | None]:
    """What lies in a folder, in order: of folders, or links to one, the real path, of files None.

    What is hidden is left out, and so are folders that are `passed`. ValueError if the folder cannot be read.
    """
    try:
        with os.scandir(place) as seen:
            found = sorted((entry.name, entry.is_dir()) for entry in seen if not entry.name.startswith("."))
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read ({error.strerror}); mend it or take it away") from error
    real = {name: os.path.realpath(place / name) if is_folder else None for name, is_folder in found}
    return {name: path for name, path in real.items() if path not in passed}


def _files(folder: Path, below: str, passed: frozenset[str]) -> Iterator[str]:
    """The names of all files below, as seen from the folder, through links too."""
    for name, real in entries(folder / below, passed).items():
        inner = os.path.join(below, name)
        if real is None:
            yield inner
        else:
            yield from _files(folder, inner, passed | {real})

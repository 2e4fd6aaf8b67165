"""Image files, decoded once, into a memory-mapped cache of uint8 pixels.

A cache is one file: a header of JSON and the pixels (N, 3, size, size) after it. Its key is the digest of every
source file's name, size and time of change, so that a second start reads no image and a changed file is noticed.
The files in another order are another cache; those of files that have changed are removed.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simssl.blocks.images.decoding import Progress, Source, decoded, digest_of

HEADER = 4096
"""Bytes before the pixels."""


def cache_folder(root: Path) -> Path:
    """$SIMSSL_CACHE, or `simssl-cache` below the data's `root`."""
    return Path(os.environ.get("SIMSSL_CACHE") or root / "simssl-cache")


def cache_file(root: Path, source: Source) -> Path:
    """Where what is decoded of a source lies in the cache's folder.

    Up to its last hyphen the name is the same for all orders of a folder's files.
    """
    place = source.folder.resolve()
    name = f"{place.name}-{source.size}-{digest_of(str(place), source.crop)[:8]}-{source.order[:8]}"
    return cache_folder(root) / name


def pixels(cache: Path, source: Source, progress: Progress) -> tuple[Tensor, str]:
    """The decoded images (N, 3, size, size), memory-mapped, and the digest of their content.

    They are decoded where the cache is missing, damaged or of other files; it is written whole or not at all, by
    one process while others wait. ValueError names a file that is no image, or a folder that cannot be written.
    """
    key = source.key
    found = _open(cache, key)
    if found is None:
        with _writing(cache):
            found = _open(cache, key) or _build(cache, key, source, progress)
    return found


def _open(cache: Path, key: tuple[str, str]) -> tuple[Tensor, str] | None:
    """What is cached under this key, if it is whole."""
    header = _header(cache)
    try:
        shape, digest = tuple(header["shape"]), str(header["digest"])
        if header["key"] != list(key) or cache.stat().st_size != HEADER + math.prod(shape):
            return None
    except (OSError, KeyError, TypeError):
        return None
    mapped = np.memmap(cache, np.uint8, mode="c", offset=HEADER, shape=shape)
    return torch.from_numpy(mapped), digest


def _header(cache: Path) -> dict[str, Any]:
    """Empty if the file is no cache."""
    try:
        with cache.open("rb") as file:
            header = json.loads(file.read(HEADER))
    except (OSError, ValueError):
        return {}
    return header if isinstance(header, dict) else {}


def _build(cache: Path, key: tuple[str, str], source: Source, progress: Progress) -> tuple[Tensor, str]:
    digest = hashlib.sha256()
    part = cache.with_name(_family(cache) + ".part")
    try:
        with part.open("wb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, which name no file: an image is read, or it is an error
            file.seek(HEADER)
            for image_3SS in decoded(source.folder, source.names, source.decode, progress):
                digest.update(content := image_3SS.tobytes())
                file.write(content)
            shape = (len(source.names), 3, source.size, source.size)
            file.seek(0)
            file.write(json.dumps({"key": key, "shape": shape, "digest": digest.hexdigest()}).encode().ljust(HEADER))
            file.flush()
            os.fsync(file.fileno())
        part.replace(cache)
    finally:
        part.unlink(missing_ok=True)
    _drop_outdated(cache, key)
    found = _open(cache, key)
    assert found is not None
    return found


def _family(cache: Path) -> str:
    return cache.name.rsplit("-", 1)[0]


def _drop_outdated(cache: Path, key: tuple[str, str]) -> None:
    """Remove the caches of the same folder, in whatever order, whose files were others."""
    for other in cache.parent.glob(f"{glob.escape(_family(cache))}*"):
        cached = _header(other).get("key")
        if cached and cached[0] != key[0]:
            other.unlink()


@contextmanager
def _writing(cache: Path) -> Iterator[None]:
    """Hold the cache's folder; ValueError says what to do where it cannot be written."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(cache.parent, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ValueError(
            f"the decoded images cannot be written to {cache.parent} ({error.strerror}); make room there, or name "
            "another folder in $SIMSSL_CACHE"
        ) from error

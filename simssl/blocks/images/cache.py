"""Image files, decoded once, into a memory-mapped cache of uint8 pixels.

A cache is one file: a header of JSON and the pixels (N, 3, S, S) after it, S the side of the images. Its key is the
digest of what the file system says of every source file: its name, size, inode, and the times at which its content and
its inode changed. A second start decodes no image, and a changed file is noticed, whatever time it says it is of. The
header holds the pixels' digest, and a cache that is damaged is made anew. The files in another order are another cache;
those of files that have changed are removed.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simssl.blocks.images.decoding import ImageSource, Progress, decoded_images, digest_of

HEADER = 4096
"""Bytes before the pixels."""

PART = 8 * 2**20
"""Bytes of pixels that are checked at a time. Ours."""

LARGE = 4 * 2**30
"""Bytes of pixels from which on checking them takes seconds, and its progress is told. Ours."""


def cache_folder(root: Path) -> Path:
    """$SIMSSL_CACHE, or `simssl-cache` below the data's `root`."""
    named = os.environ.get("SIMSSL_CACHE")
    return Path(os.path.expanduser(named)) if named else root / "simssl-cache"


def cache_file(root: Path, source: ImageSource) -> Path:
    """The file, in the cache's folder, of what is decoded of a source.

    Up to its last hyphen the name is the same for all orders of a folder's files.
    """
    folder = source.folder.resolve()
    content = digest_of(str(folder), source.crop)[:8]
    order = source.order[:8]
    name = f"{folder.name}-{source.size}-{content}-{order}"
    return cache_folder(root) / name


def cached_pixels(cache: Path, source: ImageSource, progress: Progress) -> tuple[Tensor, str]:
    """The decoded images (N, 3, S, S), memory-mapped, and the digest of their content.

    They are decoded where the cache is missing, damaged or of other files. It is written whole or not at all, by
    one process while others wait. ValueError names a file that is no image, or a folder that cannot be written.
    """
    key = source.key
    shape = (len(source.names), 3, source.size, source.size)
    cached = _open(cache, key, shape, progress)
    if cached is not None:
        return cached
    with _writing(cache):
        cached = _open(cache, key, shape, progress)  # another process may have written it by now
        if cached is None:
            _say_if_damaged(cache, key)
            _build(cache, key, source, progress)
            cached = _open(cache, key, shape, progress)
            if cached is None:
                raise ValueError(
                    f"the decoded images in {cache} are not what was written there; mend that disk, or name another "
                    "folder in $SIMSSL_CACHE"
                )
    return cached


def _open(cache: Path, key: tuple[str, str], shape: tuple[int, ...], progress: Progress) -> tuple[Tensor, str] | None:
    """The pixels and their digest, if the cache is whole and of this key and shape."""
    header = _header(cache)
    if header.get("key") != list(key) or header.get("shape") != list(shape):
        return None
    try:
        with cache.open("rb") as file:
            if os.fstat(file.fileno()).st_size != HEADER + math.prod(shape):
                return None
            mapped = np.memmap(file, np.uint8, mode="c", offset=HEADER, shape=shape)
            digest = _digest(mapped, file.fileno(), partial(progress, f"checking {cache}"))
    except FileNotFoundError:  # another process has just removed it
        return None
    if header.get("digest") != digest:
        return None
    return torch.from_numpy(mapped), digest


def _digest(pixels_N3SS: np.memmap, file: int, checked: Callable[[int, int], None]) -> str:
    """The SHA-256 of the pixels of an open file.

    While some are digested the system reads the next ones. `checked` is told how many images are done, of how many.
    """
    digest = hashlib.sha256()
    image_bytes = pixels_N3SS[0].nbytes
    step = max(1, PART // image_bytes)
    num_images = len(pixels_N3SS)
    for start in range(0, num_images, step):
        end = min(start + step, num_images)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file, HEADER + end * image_bytes, 4 * PART, os.POSIX_FADV_WILLNEED)
        digest.update(pixels_N3SS[start:end].data)
        if pixels_N3SS.nbytes >= LARGE:
            checked(end, num_images)
    return digest.hexdigest()


def _say_if_damaged(cache: Path, key: tuple[str, str]) -> None:
    """Tell the log of a cache that is neither usable nor of files that have changed since."""
    key_there = _header(cache).get("key", list(key))
    if cache.exists() and key_there == list(key):
        logging.getLogger("simssl").warning(f"the decoded images in {cache} are damaged; they are decoded anew")


def _header(cache: Path) -> dict[str, Any]:
    """The cache's header; empty if the file is no cache."""
    try:
        with cache.open("rb") as file:
            header = json.loads(file.read(HEADER))
    except (OSError, ValueError):
        return {}
    return header if isinstance(header, dict) else {}


def _build(cache: Path, key: tuple[str, str], source: ImageSource, progress: Progress) -> None:
    """Decode the source into the cache."""
    digest = hashlib.sha256()
    part = cache.with_name(_family(cache) + ".part")
    try:
        part.unlink(missing_ok=True)  # of a process that was killed, or a link that another has put there
        with part.open("xb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, which name no file: an image is read, or it is an error
            file.seek(HEADER)
            for image_3SS in decoded_images(source.folder, source.names, source.decode, progress):
                content = image_3SS.tobytes()
                digest.update(content)
                file.write(content)
            shape = (len(source.names), 3, source.size, source.size)
            header = json.dumps({"key": key, "shape": shape, "digest": digest.hexdigest()})
            file.seek(0)
            file.write(header.encode().ljust(HEADER))
            file.flush()
            os.fsync(file.fileno())
        part.replace(cache)
    finally:
        part.unlink(missing_ok=True)
    _drop_outdated(cache, key)


def _family(cache: Path) -> str:
    return cache.name.rsplit("-", 1)[0]


def _drop_outdated(cache: Path, key: tuple[str, str]) -> None:
    """Remove the caches of the same folder, in whatever order, whose files were others."""
    files, _ = key
    for other in cache.parent.glob(f"{glob.escape(_family(cache))}*"):
        other_key = _header(other).get("key")
        if other_key and other_key[0] != files:
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

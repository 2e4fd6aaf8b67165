"""Image files, decoded once: upright squares in RGB, in a memory-mapped cache of uint8 pixels.

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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from simssl.blocks.messages import reason

VERSION = 1
"""Of what is done to an image here; another one makes every cache anew."""
HEADER = 4096
"""Bytes before the pixels."""
BLOCK = 256
"""Images that are decoded between two reports of progress."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Source:
    """Files of a folder, by name, and the square that is taken of each: centred, `crop` of the shorter side long,
    scaled to `size` pixels."""

    folder: Path
    names: Sequence[str]
    size: int
    crop: float = 1.0

    def decode(self, name: str) -> np.ndarray:
        """(3, size, size) uint8; ValueError names the file if it cannot be read."""
        image = read(self.folder / name, at_least=math.ceil(self.size / self.crop))
        return np.asarray(square(image, self.size, self.crop)).transpose(2, 0, 1)

    @property
    def key(self) -> tuple[str, str]:
        """Digests of the files, in whatever order, and of their order."""
        stats = ((name, _stat(os.path.join(self.folder, name))) for name in self.names)
        files = sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
        return _digest(VERSION, self.size, self.crop, files), self.order

    @property
    def order(self) -> str:
        return _digest(list(self.names))


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()


def _stat(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is a link to nothing, or gone; take it away") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); mend it or take it away") from error


def read(path: Path, at_least: int = 0) -> Image.Image:
    """An image file, turned as its EXIF says, in RGB; ValueError names the file if it cannot be read.

    A JPEG whose shorter side is many times `at_least` is decoded at a half, a quarter or an eighth of its size.
    """
    try:
        with Image.open(path) as image:
            if at_least:
                image.draft(None, (2 * at_least, 2 * at_least))
            return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is no image that can be read; take it away") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} has more than 179 million pixels; shrink it or take it away") from error
    except Exception as error:  # Pillow's decoders raise what they like on a damaged file
        raise ValueError(f"{path} cannot be read ({reason(error)}); mend it or take it away") from error


def _rgb(image: Image.Image) -> Image.Image:
    """Of 16-bit grey the upper 8 bits; of transparent images the colours alone."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("its pixels have neither 8 nor 16 bits a channel")
    return image.convert("RGB")


def square(image: Image.Image, size: int, crop: float = 1.0) -> Image.Image:
    """The centred square whose side is `crop` of the shorter side, resized bilinearly with antialiasing."""
    side = round(crop * min(image.size))
    left, top = (round((length - side) / 2) for length in image.size)
    return image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BILINEAR)


def cache_file(root: Path, source: Source) -> Path:
    """Where what is decoded of a source lies: in $SIMSSL_CACHE, or `simssl-cache` below the data's `root`.

    Up to its last hyphen the name is the same for all orders of a folder's files.
    """
    place = source.folder.resolve()
    name = f"{place.name}-{source.size}-{_digest(str(place), source.crop)[:8]}-{source.order[:8]}"
    return Path(os.environ.get("SIMSSL_CACHE") or root / "simssl-cache") / name


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
            for image_3SS in _decoded(source, progress):
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


def _decoded(source: Source, progress: Progress) -> Iterator[np.ndarray]:
    """Every image in order; decoded in threads, for Pillow lets go of the interpreter."""
    total = len(source.names)
    with ThreadPoolExecutor() as pool:
        for start in range(0, total, BLOCK):
            yield from pool.map(source.decode, source.names[start : start + BLOCK])
            progress(f"decoding {source.folder}", min(start + BLOCK, total), total)


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

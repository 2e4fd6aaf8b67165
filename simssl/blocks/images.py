"""Image files, decoded to upright squares in RGB."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from simssl.blocks.messages import listed, reason

VERSION = 1
"""Of what is done to an image here; another one makes every cache anew."""
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
        """Digests of the files, in whatever order, and of their order; ValueError names those that are not there."""
        files, faults = [], {}
        for name in self.names:
            path = os.path.join(self.folder, name)
            try:
                stat = os.stat(path)
                files.append((name, stat.st_size, stat.st_mtime_ns))
            except FileNotFoundError:
                faults[name] = f"{path} is a link to nothing, or gone; take it away"
            except OSError as error:
                faults[name] = f"{path} cannot be read ({error.strerror}); mend it or take it away"
        self.refuse(faults)
        return digest_of(VERSION, self.size, self.crop, sorted(files)), self.order

    @property
    def order(self) -> str:
        return digest_of(list(self.names))

    def refuse(self, faults: Mapping[str, str]) -> None:
        """ValueError says how many images are at fault and which, if any are."""
        if len(faults) == 1:
            raise ValueError(*faults.values())
        if faults:
            names = sorted(faults)
            which = f"{listed(names)}; of the first: {faults[names[0]]}"
            raise ValueError(f"{len(faults):,} images of {self.folder} cannot be read: {which}")


def digest_of(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()


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


def decoded(source: Source, progress: Progress) -> Iterator[np.ndarray]:
    """Every image in order; ValueError, after the last, names all that cannot be read.

    They are decoded in threads, for Pillow lets go of the interpreter.
    """
    total, faults = len(source.names), {}
    with ThreadPoolExecutor() as pool:
        for start in range(0, total, BLOCK):
            names = source.names[start : start + BLOCK]
            for name, image in zip(names, pool.map(partial(_attempt, source), names), strict=True):
                if isinstance(image, str):
                    faults[name] = image
                else:
                    yield image
            progress(f"decoding {source.folder}", min(start + BLOCK, total), total)
    source.refuse(faults)


def _attempt(source: Source, name: str) -> np.ndarray | str:
    """The image, or what is wrong with it."""
    try:
        return source.decode(name)
    except ValueError as error:
        return str(error)

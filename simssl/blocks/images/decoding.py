"""Image files, decoded upright to the shape that is asked for."""

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
        refuse(self.folder, faults)
        return digest_of(VERSION, self.size, self.crop, sorted(files)), self.order

    @property
    def order(self) -> str:
        return digest_of(list(self.names))


def refuse(folder: Path, faults: Mapping[str, str]) -> None:
    """ValueError says how many images of the folder are at fault and which, if any are."""
    if len(faults) == 1:
        raise ValueError(*faults.values())
    if faults:
        names = sorted(faults)
        which = f"{listed(names)}; of the first: {faults[names[0]]}"
        raise ValueError(f"{len(faults):,} images of {folder} cannot be read: {which}")


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
            return upright(image)
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is no image that can be read; take it away") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} has more than 179 million pixels; shrink it or take it away") from error
    except Exception as error:  # Pillow's decoders raise what they like on a damaged file
        raise ValueError(f"{path} cannot be read ({reason(error)}); mend it or take it away") from error


def upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF says, in RGB: of 16-bit grey the upper 8 bits, of transparent images the colours alone.

    ValueError if its pixels are floating-point numbers or have 32 bits.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("its pixels have neither 8 nor 16 bits a channel")
    return image.convert("RGB")


def square(image: Image.Image, size: int, crop: float = 1.0) -> Image.Image:
    """The centred square whose side is `crop` of the shorter side, resized bilinearly with antialiasing."""
    return _centred(image, size, size, crop)


def fitted(image: Image.Image, shape: tuple[int, int, int]) -> np.ndarray:
    """An image in RGB as uint8 of this shape (C, H, W): the largest centred box of its proportions, resized as a
    square is, in grey if C is 1. ValueError if C is neither 1 nor 3."""
    channels, height, width = shape
    if channels not in (1, 3):
        raise ValueError(
            f"pictures have 1 or 3 channels, not {channels}; give arrays of the shape {shape} in their place"
        )
    box = _centred(image, width, height)
    return np.asarray(box.convert("L"))[None] if channels == 1 else np.asarray(box).transpose(2, 0, 1)


def _centred(image: Image.Image, width: int, height: int, crop: float = 1.0) -> Image.Image:
    """The largest centred box of these proportions, or `crop` of its sides, resized to this width and height."""
    across, down = image.size
    sides = min(across, down * width / height), min(down, across * height / width)
    box = [max(1, round(crop * side)) for side in sides]
    left, top = (round((length - side) / 2) for length, side in zip(image.size, box, strict=True))
    return image.crop((left, top, left + box[0], top + box[1])).resize((width, height), Image.Resampling.BILINEAR)


def decoded(
    folder: Path, names: Sequence[str], decode: Callable[[str], np.ndarray], progress: Progress
) -> Iterator[np.ndarray]:
    """Every image of a folder in order, as `decode` makes it of its name; ValueError, after the last, names all for
    which that raised one.

    They are decoded in threads, for Pillow lets go of the interpreter.
    """
    faults = {}
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(names), BLOCK):
            block = names[start : start + BLOCK]
            for name, image in zip(block, pool.map(partial(_attempt, decode), block), strict=True):
                if isinstance(image, str):
                    faults[name] = image
                else:
                    yield image
            progress(f"decoding {folder}", min(start + BLOCK, len(names)), len(names))
    refuse(folder, faults)


def _attempt(decode: Callable[[str], np.ndarray], name: str) -> np.ndarray | str:
    """The image, or what is wrong with it."""
    try:
        return decode(name)
    except ValueError as error:
        return str(error)

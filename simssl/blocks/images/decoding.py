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
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from simssl.blocks.messages import listed, reason

VERSION = 2
"""The version of what is done to an image here; another one makes every cache anew."""
BLOCK = 256
"""Images that are decoded between two reports of progress."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by the orientation in its EXIF."""
SIGNED = 2
"""The sample format of a TIFF whose numbers have a sign."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ImageSource:
    """Files of a folder, by name, and the square that is taken of each.

    The square is centred, `crop` of the shorter side long, and scaled to `size` pixels.
    """

    folder: Path
    names: Sequence[str]
    size: int
    crop: float = 1.0

    def decode(self, name: str) -> np.ndarray:
        """The image (3, size, size), uint8; ValueError names the file if it cannot be read."""
        needed = math.ceil(self.size / self.crop)
        image = read_image(self.folder / name, at_least=needed)
        square = centred_square(image, self.size, self.crop)
        return np.asarray(square).transpose(2, 0, 1)

    @property
    def key(self) -> tuple[str, str]:
        """Digests of the files, in whatever order, and of their order; ValueError names those that are not there."""
        files = []
        faults = {}
        for name in self.names:
            path = os.path.join(self.folder, name)
            try:
                stat = os.stat(path)
                files.append((name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino))
            except FileNotFoundError:
                faults[name] = f"{path} is a link to nothing, or gone; take it away"
            except OSError as error:
                faults[name] = f"{path} cannot be read ({error.strerror}); mend it or take it away"
        _refuse(self.folder, faults)
        return digest_of(VERSION, self.size, self.crop, sorted(files)), self.order

    @property
    def order(self) -> str:
        """The digest of the names in their order."""
        return digest_of(list(self.names))


def _refuse(folder: Path, faults: Mapping[str, str]) -> None:
    """Raise ValueError, if images of the folder are at fault, with their number and names."""
    if len(faults) == 1:
        raise ValueError(*faults.values())
    if faults:
        names = sorted(faults)
        which = f"{listed(names)}; of the first: {faults[names[0]]}"
        raise ValueError(f"{len(faults):,} images of {folder} cannot be read: {which}")


def digest_of(*values: object) -> str:
    """The SHA-256 of the values as Python prints them, in hexadecimal digits."""
    return hashlib.sha256(repr(values).encode()).hexdigest()


def read_image(path: Path, at_least: int = 0) -> Image.Image:
    """An image file, turned as its EXIF says, in RGB; ValueError names the file if it cannot be read.

    A JPEG whose shorter side is many times `at_least` is decoded at a half, a quarter or an eighth of its size.
    """
    try:
        with Image.open(path) as image:
            if at_least:
                image.draft(None, (2 * at_least, 2 * at_least))
            return upright_image(image)
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is no image that can be read; take it away") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} has more than 179 million pixels; shrink it or take it away") from error
    except Exception as error:  # Pillow's decoders raise what they like on a damaged file
        raise ValueError(f"{path} cannot be read ({reason(error)}); mend it or take it away") from error


def upright_image(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF says, in RGB. It stays as it lies where the EXIF is damaged.

    Grey of more than 8 bits keeps its upper 8, numbers with a sign are counted from the lowest there can be, and a
    transparent image keeps its colours alone. ValueError if its pixels are floating-point numbers or have 32 bits.
    """
    image.load()
    turn = TURNS.get(_orientation(image))
    colours = _of_8_bits(image).convert("RGB")
    return colours if turn is None else colours.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """The orientation in the image's EXIF; 1, upright, if there is none or it cannot be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises what it likes on a damaged EXIF, and the pixels are sound all the same
        return 1
    return orientation if isinstance(orientation, int) else 1


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Grey of another depth in 8 bits, all else as it is; ValueError if there are more than 16."""
    bits, has_sign = _depth(image)
    if image.mode not in ("L", "I", "F") and not image.mode.startswith("I;16"):
        return image
    if image.mode == "F" or bits > 16:
        raise ValueError("its pixels have neither 8 nor 16 bits a channel")
    if bits == 8 and not has_sign:
        return image
    levels = np.asarray(image).astype(np.int32)
    if has_sign:
        half = 1 << (bits - 1)
        levels = (levels + half) % (1 << bits)
    return Image.fromarray((levels >> (bits - 8)).astype(np.uint8))


def _depth(image: Image.Image) -> tuple[int, bool]:
    """The bits of a channel, and whether its numbers have a sign. Pillow keeps 16 bits in 32, as PGM in full scale."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits, *_ = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
        sample_format, *_ = image.tag_v2.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
        return max(bits, 8), sample_format == SIGNED
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return 16, False
    return (32 if image.mode == "I" else 8), False


def centred_square(image: Image.Image, size: int, crop: float = 1.0) -> Image.Image:
    """The centred square whose side is `crop` of the shorter side, resized bilinearly with antialiasing."""
    return _centred(image, size, size, crop)


def fitted_image(image: Image.Image, shape: tuple[int, int, int]) -> np.ndarray:
    """An image in RGB as uint8 of this shape (C, H, W).

    It is the largest centred box of its proportions, resized as a square is, in grey if C is 1. ValueError if C is
    neither 1 nor 3.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise ValueError(
            f"pictures have 1 or 3 channels, not {channels}; give arrays of the shape {shape} in their place"
        )
    box = _centred(image, width, height)
    if channels == 1:
        return np.asarray(box.convert("L"))[None]
    return np.asarray(box).transpose(2, 0, 1)


def _centred(image: Image.Image, width: int, height: int, crop: float = 1.0) -> Image.Image:
    """The largest centred box of these proportions, or `crop` of its sides, resized to this width and height."""
    image_width, image_height = image.size
    largest_width = min(image_width, image_height * width / height)
    largest_height = min(image_height, image_width * height / width)
    box_width = max(1, round(crop * largest_width))
    box_height = max(1, round(crop * largest_height))
    left = round((image_width - box_width) / 2)
    top = round((image_height - box_height) / 2)
    box = image.crop((left, top, left + box_width, top + box_height))
    return box.resize((width, height), Image.Resampling.BILINEAR)


def decoded_images(
    folder: Path, names: Sequence[str], decode: Callable[[str], np.ndarray], progress: Progress
) -> Iterator[np.ndarray]:
    """Every image of a folder in order, as `decode` makes it of its name.

    They are decoded in threads, for Pillow lets go of the interpreter. ValueError, after the last, names all for which
    `decode` raised one.
    """
    faults = {}
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(names), BLOCK):
            block = names[start : start + BLOCK]
            images = pool.map(partial(_attempt, decode), block)
            for name, image in zip(block, images, strict=True):
                if isinstance(image, str):
                    faults[name] = image
                else:
                    yield image
            done = min(start + BLOCK, len(names))
            progress(f"decoding {folder}", done, len(names))
    _refuse(folder, faults)


def _attempt(decode: Callable[[str], np.ndarray], name: str) -> np.ndarray | str:
    """The image, or the reason why there is none."""
    try:
        return decode(name)
    except ValueError as error:
        return str(error)

"""Photos as people have them: damaged EXIF, deep grey, the folders of their systems, names from another one."""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from simssl.api import Data
from simssl.blocks.images import read_image
from simssl.plugin.registry import Registry

PHOTOS = Registry(builtins_only=True).load("dataset", "image_folder")
RAMP = np.linspace(0, 255, 24).astype(np.uint8)[None].repeat(20, 0)
"""Grey levels (20, 24), from left to right."""
TEXT, SHORT, RATIONAL = 2, 3, 5
"""EXIF's types of values."""

RUN = {
    "dataset": {"name": "image_folder", "path": "photos", "size": 16},
    "training": {"views": 30, "batch_views": 10},
    "objective": {"name": "vae"},
    "evaluators": [{"name": "knn", "k": 1}],
}


def exif(*entries: tuple[int, int, bytes]) -> bytes:
    """An EXIF block of entries: tag, type and the four bytes of the value, or of where it lies."""
    fields = b"".join(struct.pack("<HHI", tag, kind, 1) + value for tag, kind, value in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + fields + struct.pack("<III", 0, 1, 2)


TURNED = (0x0112, SHORT, struct.pack("<HH", 6, 0))
BLOCKS = {
    "no TIFF header": (b"Exif\0\0as a bad editor leaves it", False),
    "a header cut": (b"Exif\0\0II", False),
    "a directory cut": (exif(TURNED)[:24], False),
    "a value cut": (exif((0x010F, RATIONAL, struct.pack("<I", 900)), TURNED), False),
    "a rational where a text belongs": (exif((0x010F, RATIONAL, struct.pack("<I", 38)), TURNED), True),
    "an orientation that is a text": (exif((0x0112, TEXT, b"6\0\0\0")), False),
    "an orientation that is a rational": (exif((0x0112, RATIONAL, struct.pack("<I", 26))), False),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about EXIF
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("block", BLOCKS)
def test_damaged_exif_leaves_the_pixels(block: str, suffix: str, tmp_path: Path) -> None:
    """The orientation is followed where it is whole, whatever stands beside it."""
    content, turned = BLOCKS[block]
    image = Image.fromarray(RAMP).convert("RGB")
    image.save(tmp_path / f"plain.{suffix}")
    image.save(tmp_path / f"photo.{suffix}", exif=content)
    expected = read_image(tmp_path / f"plain.{suffix}")
    if turned:
        expected = expected.transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(np.asarray(read_image(tmp_path / f"photo.{suffix}")), np.asarray(expected))


def write_tiff(file: Path, rows: np.ndarray, bits: int, sample_format: int) -> None:
    """Rows (H, bytes) as a TIFF of one strip, which Pillow cannot write in these depths."""
    height = len(rows)
    width = rows.shape[1] * 8 // bits
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8 + 2 + 9 * 12 + 4, 278: height}
    tags |= {279: rows.nbytes, 339: sample_format}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    file.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + rows.tobytes())


def bytes_of(levels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(levels).view(np.uint8).reshape(len(levels), -1)


def packed_12_bits(levels: np.ndarray) -> np.ndarray:
    left, right = levels[:, ::2], levels[:, 1::2]
    pairs = np.stack([left >> 4, (left & 15) << 4 | right >> 8, right & 255], 2)
    return pairs.astype(np.uint8).reshape(len(levels), -1)


WIDE = RAMP.astype(np.int64)
DEEP: dict[str, Callable[[Path], None]] = {
    "16.pgm": lambda file: pgm(file, 65535, (WIDE * 257).astype(">u2").tobytes()),
    "10.pgm": lambda file: pgm(file, 1023, (WIDE * 1023 / 255).round().astype(">u2").tobytes()),
    "7.pgm": lambda file: pgm(file, 127, (WIDE // 2).astype("u1").tobytes()),
    "plain.pgm": lambda file: pgm(file, 1023, " ".join(map(str, (4 * WIDE).ravel())).encode(), "P2"),
    "unsigned.tif": lambda file: write_tiff(file, bytes_of((WIDE * 257).astype("<u2")), 16, 1),
    "signed.tif": lambda file: write_tiff(file, bytes_of(((WIDE - 128) * 256).astype("<i2")), 16, 2),
    "signed8.tif": lambda file: write_tiff(file, bytes_of((WIDE - 128).astype("i1")), 8, 2),
    "12.tif": lambda file: write_tiff(file, packed_12_bits(WIDE * 16), 12, 1),
}


def pgm(file: Path, most: int, content: bytes, magic: str = "P5") -> None:
    height, width = RAMP.shape
    file.write_bytes(f"{magic}\n{width} {height}\n{most}\n".encode() + content)


@pytest.mark.parametrize("name", DEEP)
def test_grey_of_any_depth_becomes_8_bits(name: str, tmp_path: Path) -> None:
    DEEP[name](tmp_path / name)
    pixels = np.asarray(read_image(tmp_path / name), dtype=int)
    assert np.abs(pixels - RAMP[..., None]).max() <= (2 if name == "7.pgm" else 1)


def test_32_bits_are_refused(tmp_path: Path) -> None:
    write_tiff(tmp_path / "deep.tif", bytes_of(WIDE.astype("<u4")), 32, 1)
    with pytest.raises(ValueError, match=r"deep\.tif cannot be read \(its pixels have neither 8 nor 16 bits"):
        read_image(tmp_path / "deep.tif")


def pictures(folder: Path, number: int, brightest: int = 255) -> None:
    folder.mkdir(parents=True)
    for i in range(number):
        Image.new("L", (20, 20), brightest - i).save(folder / f"{i:02}.png")


def test_a_set_with_such_files_runs(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    pictures(Path("data/photos/a"), 9)
    pictures(Path("data/photos/b"), 9, brightest=99)
    for name, write in DEEP.items():
        write(Path("data/photos/a") / name)
    for i, (content, _) in enumerate(BLOCKS.values()):
        Image.new("RGB", (20, 20)).save(f"data/photos/b/{i}.png", exif=content)
    result = simssl("run", small(**RUN))
    assert result.exit_code == 0, result.stderr
    assert "decoding data/photos: 33/33" in result.stderr


@pytest.mark.parametrize("system", ["@eaDir", "__MACOSX", "#recycle", "lost+found", "System Volume Information"])
def test_folders_of_a_system_are_no_classes(system: str, tmp_path: Path) -> None:
    pictures(tmp_path / "photos/a", 10)
    pictures(tmp_path / "photos/b", 10)
    pictures(tmp_path / "photos" / system, 3)
    pictures(tmp_path / "photos/a" / system / "00.png", 2)
    data = load(tmp_path)
    assert data.train.targets["class"].classes == ("a", "b")
    assert len(data.train) + len(data.test or []) == 20


def load(root: Path, **params: object) -> Data:
    data: Data = PHOTOS(PHOTOS.Params(path="photos", **params)).load(root, lambda *_: None)
    return data


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_class_is_one_however_its_accent_is_written(forms: tuple[str, str], tmp_path: Path) -> None:
    in_train, in_test = (unicodedata.normalize(form, "café") for form in forms)
    for name in ("cave", "zoo"):
        pictures(tmp_path / "photos/train" / name, 2)
    pictures(tmp_path / "photos/train" / in_train, 3)
    pictures(tmp_path / "photos/test" / in_test, 2)
    data = load(tmp_path)
    target = data.train.targets["class"]
    assert sorted(target.classes) == sorted(["cave", in_train, "zoo"])
    assert data.test is not None
    (label,) = set(data.test.targets["class"].values.tolist())
    assert target.classes[label] == in_train
    assert int((target.values == label).sum()) == 3


@pytest.mark.parametrize("above", ["", "train/"])
def test_an_empty_folder_of_a_class_is_mentioned(above: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "simssl")
    pictures(tmp_path / "photos" / above / "a", 10)
    pictures(tmp_path / "photos" / above / "b", 10)
    pictures(tmp_path / "photos" / above / "c", 0)
    load(tmp_path)
    assert f"{tmp_path}/photos: left out, folders without images: {above}c" in caplog.messages


def test_a_path_that_lies_here_and_not_in_the_data_is_told(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    pictures(Path("photos/a"), 10)
    result = simssl("run", small(**RUN))
    assert result.exit_code == 2
    said = f"'path' is seen from data (--data); of {Path('photos').resolve()}, write the whole path"
    assert f"data/photos is no folder: {said}" in result.stderr

"""The records and pictures that the page reads in the runs' folders. `curves` reads the rest."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simssl.blocks.files import read_within
from simssl.report.runs import Run, environment_of
from simssl.report.table import Row

# --- environment.json


PARTS = ("training", "measurement")


@dataclass(frozen=True)
class Record:
    """One part of a run's environment.json."""

    part: str
    facts: Mapping[str, Any]


def records_of(runs: Sequence[Run]) -> list[Record]:
    """The parts of the runs' environment.json that can be read."""
    records = []
    for run in runs:
        document = environment_of(run)
        for part in PARTS:
            facts = document.get(part)
            if isinstance(facts, dict):
                records.append(Record(part, facts))
    return records


# --- the pictures that evaluators drew


LARGEST = 20_000_000
"""Most bytes of a picture that is shown."""

PNG = b"\x89PNG\r\n\x1a\n"

HEADER = 24
"""Bytes of a PNG up to its height."""


@dataclass(frozen=True)
class Picture:
    content: bytes
    """The PNG file."""
    width: int
    height: int
    caption: str


@dataclass(frozen=True)
class PictureGroup:
    """The picture of one name from each method."""

    name: str
    about: str
    """The text in which the evaluator that drew it describes itself."""
    pictures: Sequence[Picture]


def pictures_of(rows: Sequence[Row]) -> list[PictureGroup]:
    """The pictures by name; those of each method are of the lowest seed that has them."""
    drawn: dict[str, list[tuple[Row, Run, Path]]] = {}
    for row in rows:
        for name, (run, file) in _picture_files(row).items():
            of_name = drawn.setdefault(name, [])
            of_name.append((row, run, file))
    groups = []
    for name, of_name in sorted(drawn.items()):
        label, _ = name.split("/")
        about = ""
        pictures = []
        for row, run, file in of_name:
            about = about or run.about.get(label, "")
            seed = run.settings["seed"]
            picture = _read_picture(file, f"{row.label}, seed {seed}")
            if picture:
                pictures.append(picture)
        if pictures:
            groups.append(PictureGroup(name, about, pictures))
    return groups


def _picture_files(row: Row) -> dict[str, tuple[Run, Path]]:
    """Each picture of a method, with the run of the lowest seed that has it."""
    files: dict[str, tuple[Run, Path]] = {}
    for run in sorted(row.members, key=lambda run: run.settings["seed"]):
        if run.path is None:
            continue
        for file in sorted((run.path / "images").glob("*/*.png")):
            label = file.parent.name.replace("+", ":")
            if label in run.there:
                files.setdefault(f"{label}/{file.stem}", (run, file))
    return files


def _read_picture(file: Path, caption: str) -> Picture | None:
    """The picture; None if it is no PNG that can be read."""
    try:
        content = read_within(file, LARGEST)
    except OSError:
        return None
    if not content.startswith(PNG) or len(content) < HEADER:
        return None
    width, height = struct.unpack(">II", content[HEADER - 8 : HEADER])
    return Picture(
        content=content,
        width=width,
        height=height,
        caption=caption,
    )

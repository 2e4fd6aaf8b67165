"""The pictures that evaluators drew, of each method's first seed, inside of the page."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from pathlib import Path

from simssl.report.page.elements import Html, box, joined, paragraphs, section, tag
from simssl.report.runs import Run
from simssl.report.table import Row

PNG = b"\x89PNG\r\n\x1a\n"


def pictures(rows: Sequence[Row], level: int) -> Html:
    """A part for each picture's name, with what it shows, and in it a picture of each method."""
    found: dict[str, list[tuple[Row, Run, Path]]] = {}
    for row in rows:
        for name, (run, file) in _first(row).items():
            found.setdefault(name, []).append((row, run, file))
    return section(level, "Pictures", *(_part(name, drawn, level + 1) for name, drawn in sorted(found.items())))


def _first(row: Row) -> dict[str, tuple[Run, Path]]:
    """Each picture of a method, by the run of the lowest seed that has it."""
    found: dict[str, tuple[Run, Path]] = {}
    for run in sorted(row.members, key=lambda run: run.settings["seed"]):
        for file in sorted((run.path / "images").glob("*/*.png")) if run.path else ():
            if file.parent.name in run.there:
                found.setdefault(f"{file.parent.name}/{file.stem}", (run, file))
    return found


def _part(name: str, drawn: Sequence[tuple[Row, Run, Path]], level: int) -> Html:
    figures = [figure for row, run, file in drawn if (figure := _figure(name, row, run, file))]
    explained = paragraphs(_about(name, [run for _, run, _ in drawn]))
    return section(level, name, explained, tag("div", joined(figures), class_="wide")) if figures else Html()


def _about(name: str, runs: Sequence[Run]) -> str:
    """What the evaluator that drew it says of itself."""
    label, _ = name.split("/")
    return next((run.about[label] for run in runs if label in run.about), "")


def _figure(name: str, row: Row, run: Run, file: Path) -> Html | None:
    """The picture with its caption; None if it is no PNG that can be read."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    if not content.startswith(PNG) or len(content) < 24:
        return None
    width, height = struct.unpack(">II", content[16:24])
    caption = f"{row.label}, seed {run.settings['seed']}"
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    picture = tag("img", src=source, width=width, height=height, alt=f"{name} of {caption}")
    return tag("figure", box(f"{name} of {caption}", picture), tag("figcaption", caption))

"""The files that the page reads in the runs' folders: records, pictures and curves. Nothing else reads the disk."""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from simssl.blocks.files import read_within
from simssl.errors import RunError, summary
from simssl.report.page.figures import Curve, CurvePlot, Look, Looks
from simssl.report.runs import Run
from simssl.report.table import Row
from simssl.store.files import read_json
from simssl.store.folder import RunFolder

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
        if run.path is None:
            continue
        try:
            document = read_json(RunFolder(run.path).environment) or {}
        except RunError:
            continue
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
            label = file.parent.name
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


# --- the training curves in TensorBoard's event files


PREFIXES = ("_training/", "training/")
"""The beginnings of the tags of loss terms and monitors. The second is that of earlier versions."""

LOSS = "loss"
"""The name of the sum of the loss terms."""

MOST = 200
"""Most points of a curve; of a longer one every second is left out, or every third, ..., but not its last."""


@dataclass(frozen=True)
class MethodCurves:
    """A plot for each term of a method."""

    label: str
    plots: Sequence[CurvePlot]


@dataclass(frozen=True)
class Training:
    methods: Sequence[MethodCurves]
    without: Sequence[str]
    """The trained methods that have no events."""


def training_of(rows: Sequence[Row], looks: Looks) -> Training | None:
    """The curves of each method, one for each term and seed; None if there are none."""
    methods = []
    without = []
    for row in rows:
        plots = _curve_plots(row, looks[row.label])
        if plots:
            methods.append(MethodCurves(row.label, plots))
        elif row.runs and row.family != "untrained":
            without.append(row.label)
    return Training(methods, without) if methods else None


def _curve_plots(row: Row, look: Look) -> list[CurvePlot]:
    terms: dict[str, list[Curve]] = {}
    for run in row.members:
        if run.path:
            for name, curve in _curves_of(run.path).items():
                terms.setdefault(name, []).append(curve)
    plots = []
    for name, curves in _each_once(terms).items():
        plot = CurvePlot(
            name=name,
            curves=curves,
            look=look,
            description=f"{name} of {row.label} over the steps, {len(curves)} runs",
        )
        plots.append(plot)
    return plots


def _each_once(terms: dict[str, list[Curve]]) -> dict[str, list[Curve]]:
    """The terms, the loss first. A loss of one term alone is shown once, under both names."""
    loss = terms.get(LOSS)
    if loss is None:
        return terms
    others = {name: curves for name, curves in terms.items() if name != LOSS}
    for name, curves in others.items():
        if curves == loss:
            del others[name]
            return {f"{LOSS} = {name}": loss, **others}
    return {LOSS: loss, **others}


def _curves_of(run: Path) -> dict[str, Curve]:
    """Each term of the training, by name; none if there are no event files, or they cannot be read."""
    files = list(run.glob("events.out.tfevents.*"))
    if not files or not all(file.is_file() for file in files):  # a pipe would be waited for
        return {}
    reader = _reader_of_events()
    if reader is None:
        return {}
    kept = {
        "scalars": 0,  # all of them
        "images": 1,
        "tensors": 1,
        "histograms": 1,
    }
    accumulator = reader(str(run), size_guidance=kept)
    logger = logging.getLogger("tensorboard")
    level = logger.level
    logger.setLevel(logging.ERROR)  # that a run was resumed is no news
    try:
        accumulator.Reload()
    except Exception:  # whatever a damaged file makes of it
        return {}
    finally:
        logger.setLevel(level)
    points: dict[str, dict[float, float]] = {}
    for tag in accumulator.Tags()["scalars"]:
        if tag.startswith(PREFIXES):
            name = tag.partition("/")[2]
            of_name = points.setdefault(name, {})
            for event in accumulator.Scalars(tag):
                if math.isfinite(event.value):
                    of_name[float(event.step)] = event.value
    curves = {}
    for name, of_name in points.items():
        if len(of_name) > 1:
            curves[name] = _thinned(sorted(of_name.items()))
    return curves


@cache
def _reader_of_events() -> Any:
    """TensorBoard's reader of event files; None, which is said once, where TensorBoard cannot be imported."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except Exception as error:  # a broken installation raises what it likes
        logging.getLogger("simssl").warning(
            f"the training curves are left out, for the package tensorboard is broken ({summary(error)}); install it "
            "again"
        )
        return None
    return EventAccumulator


def _thinned(curve: Curve) -> Curve:
    stride = math.ceil(len(curve) / MOST)
    return [*curve[:-1:stride], curve[-1]]

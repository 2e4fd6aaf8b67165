"""The training curves that the page reads in TensorBoard's event files."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from simssl.errors import summary
from simssl.report.page.figures import Curve, CurvePlot, Look, Looks
from simssl.report.table import Row

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

"""What TensorBoard's event files in a run's folder say of its training."""

from __future__ import annotations

import logging
import math
from pathlib import Path

PREFIX = "training/"
"""Of the tags of loss terms and monitors."""

MOST = 200
"""Points of a curve; of a longer one every second is left out, or every third, ..., but not its last."""

Curve = list[tuple[float, float]]
"""Steps and values."""


def curves_of(run: Path) -> dict[str, Curve]:
    """Each term of the training, by name; none if there are no event files, or they cannot be read."""
    if not any(run.glob("events.out.tfevents.*")):
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 1, "tensors": 1, "histograms": 1})
    told = logging.getLogger("tensorboard")
    level = told.level
    told.setLevel(logging.ERROR)  # that a run was resumed is no news
    try:
        accumulator.Reload()
    except Exception:  # whatever a damaged file makes of it
        return {}
    finally:
        told.setLevel(level)
    found = {tag: accumulator.Scalars(tag) for tag in accumulator.Tags()["scalars"] if tag.startswith(PREFIX)}
    curves = {
        tag.removeprefix(PREFIX): _thinned([(float(e.step), e.value) for e in events if math.isfinite(e.value)])
        for tag, events in found.items()
    }
    return {name: curve for name, curve in curves.items() if len(curve) > 1}


def _thinned(curve: Curve) -> Curve:
    step = math.ceil(len(curve) / MOST) or 1
    return curve[:-1:step] + curve[-1:]

"""TensorBoard: terms, metrics, pictures, runs side by side, representations; `tensorboard --logdir runs` shows them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from pydantic import Field
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

import simssl
from simssl.api import Result, RunInfo, Split, Subject, Target, Tracker

LEFT_OUT = {"name", "evaluators", "trackers", "training.log_every", "training.checkpoint_seconds"}
"""Settings that are no hyperparameters: they change nothing of the representation."""
THUMBNAIL = 64
"""Most pixels along a side of a thumbnail."""
PROJECTOR = """embeddings {{
  tensor_name: "representation"
  tensor_path: "projector/representation.tsv"
  metadata_path: "projector/labels.tsv"
  sprite {{
    image_path: "projector/thumbnails.png"
    single_image_dim: {width}
    single_image_dim: {height}
  }}
}}
"""
"""projector_config.pbtxt, which TensorBoard looks for in the run's folder."""


class TensorBoardTracker(Tracker):
    """Events in the run's folder. A run that goes on after a kill writes each step once.

    When it ends well, its settings are added as hyperparameters, by their keys in the experiment file: TensorBoard sets
    them beside the last value of each metric, a row a run. If it was measured, the test images' representations
    are written for the projector, with labels and thumbnails, into `projector/`.
    """

    class Params(simssl.Params):
        points: int = Field(2000, ge=0)
        "Most test images in the projector, evenly spaced over the split; 0 for no projector. Ours."

    def started(self, run: RunInfo) -> None:
        self.run = run
        self.subject: Subject | None = None
        unfinished = run.start_step < run.steps
        self.writer = SummaryWriter(str(run.directory), purge_step=run.start_step + 1 if unfinished else None)
        if run.start_step == 0:
            settings = yaml.safe_dump(dict(run.settings), sort_keys=False)
            self.writer.add_text("experiment", "".join(f"    {line}\n" for line in settings.splitlines()))

    def logged(self, step: int, terms: dict[str, float]) -> None:
        for name, value in terms.items():
            self.writer.add_scalar(f"training/{name}", value, step)

    def evaluated(self, result: Result, subject: Subject) -> None:
        self.subject = subject
        for name, metric in result.metrics.items():
            self.writer.add_scalar(f"{result.evaluator}/{name}", metric.value, self.run.steps)
        for name, picture in result.images.items():
            self.writer.add_image(f"{result.evaluator}/{name}", picture, self.run.steps)

    def ended(self, error: BaseException | None) -> None:
        try:
            if error is None:
                self._add_hyperparameters()
                self._add_projector()
        finally:
            self.writer.close()

    def _add_hyperparameters(self) -> None:
        """Without the list of all columns that torch would add: TensorBoard takes it from one run for all, and without
        it finds what any run has. A run that ends a second time repeats what is there, and stays one row."""
        settings = {"experiment": self.run.experiment, **dict(_flat("", self.run.settings))}
        _, start, end = hparams(settings, {})
        for summary in (start, end):
            self.writer._get_file_writer().add_summary(summary)

    def _add_projector(self) -> None:
        test = self.subject.data.test if self.subject else None
        if self.subject is None or test is None or not self.params.points:
            return
        P = min(self.params.points, len(test))
        index_P = torch.arange(P) * len(test) // P
        z_PD = self.subject.features("test")[index_P.to(self.subject.device)].cpu()
        x_PCHW = self.subject.images("test", index_P).cpu()
        _write_projector(self.run.directory, z_PD, x_PCHW, _columns(test, index_P))


def _flat(key: str, value: Any) -> Iterator[tuple[str, float | str]]:
    """Dotted keys and values; a plugin's name is the value of its section's key, and what is empty is left out."""
    if key in LEFT_OUT or value is None:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(key if key and name == "name" else f"{key}.{name}".lstrip("."), inner)
    else:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        yield key, value if is_number else str(value)


def _columns(split: Split, index_P: Tensor) -> dict[str, list[str]]:
    """What is known of the images at these places: a column a target, and the places."""
    columns = {name: _words(target, index_P) for name, target in split.targets.items()}
    return {**columns, "index": [str(i) for i in index_P.tolist()]}


def _words(target: Target, index_P: Tensor) -> list[str]:
    values = target.values[index_P].tolist()
    if target.classes is None:
        return [f"{value:.6g}" for value in values]
    return [" ".join(target.classes[i].split()) if i >= 0 else "no label" for i in values]


def _write_projector(folder: Path, z_PD: Tensor, x_PCHW: Tensor, columns: dict[str, list[str]]) -> None:
    """Representations, labels and thumbnails, and last the file that names them."""
    place = folder / "projector"
    place.mkdir(exist_ok=True)
    np.savetxt(place / "representation.tsv", z_PD.numpy(), fmt="%.6g", delimiter="\t")
    head = [tuple(columns)] if len(columns) > 1 else []  # a column that is alone has none, says the format
    lines = ("\t".join(row) for row in [*head, *zip(*columns.values(), strict=True)])
    (place / "labels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    thumbnails_PCHW = _thumbnails(x_PCHW)
    _sprite(thumbnails_PCHW).save(place / "thumbnails.png")
    height, width = thumbnails_PCHW.shape[2:]
    (folder / "projector_config.pbtxt").write_text(PROJECTOR.format(width=width, height=height))


def _thumbnails(x_PCHW: Tensor) -> Tensor:
    longer = max(x_PCHW.shape[2:])
    if longer <= THUMBNAIL:
        return x_PCHW
    size = [max(1, length * THUMBNAIL // longer) for length in x_PCHW.shape[2:]]
    return F.interpolate(x_PCHW, size, mode="bilinear", antialias=True).clamp(0, 1)


def _sprite(x_PCHW: Tensor) -> Image.Image:
    """The images row by row, as many to a row as there are rows, which is how the projector reads them."""
    P, C, H, W = x_PCHW.shape
    side = math.ceil(math.sqrt(P))
    filled = torch.cat([x_PCHW, x_PCHW.new_ones(side * side - P, C, H, W)]).unflatten(0, (side, side))
    pixels = (filled.permute(0, 3, 1, 4, 2).reshape(side * H, side * W, C) * 255).round().byte().numpy()
    return Image.fromarray(pixels if C == 3 else pixels[..., 0])


@simssl.hookimpl
def simssl_tracker() -> type[Tracker]:
    return TensorBoardTracker

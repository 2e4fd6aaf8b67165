"""TensorBoard: terms, metrics, pictures, runs side by side, representations; `tensorboard --logdir runs` shows them.

P counts the images in the projector.
"""

from __future__ import annotations

import io
import math
import secrets
import threading
from collections.abc import Iterator
from functools import cache
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
from simssl.blocks.files import write_whole

LEFT_OUT = {"name", "evaluators", "trackers", "measure", "training.log_every", "training.checkpoint_seconds"}
"""Settings that are no hyperparameters: they change nothing of the representation."""
TRAINING = "_training"
"""The group of the loss and its terms. TensorBoard shows groups in the order of their names, and `_` comes first."""
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
        _require_utf8(run.directory)
        _silence_its_thread()
        self.run = run
        self.steps = run.steps
        self.subject: Subject | None = None
        unfinished = run.start_step < run.steps
        first_step = run.start_step + 1 if unfinished else None
        fresh = f".{secrets.token_hex(8)}"  # a name that nobody can have put a link at
        self.writer = SummaryWriter(str(run.directory), purge_step=first_step, filename_suffix=fresh)
        if run.start_step == 0:
            settings = yaml.safe_dump(dict(run.settings), sort_keys=False)
            block = [f"    {line}\n" for line in settings.splitlines()]
            self.writer.add_text("experiment", "".join(block))

    def logged(self, step: int, terms: dict[str, float]) -> None:
        for name, value in terms.items():
            self.writer.add_scalar(f"{TRAINING}/{name}", value, step)

    def measured(self, step: int, result: Result) -> None:
        """Add the numbers of the run in training: curves that end in those of the trained run."""
        for name, metric in result.metrics.items():
            self.writer.add_scalar(f"{result.evaluator}/{name}", metric.value, step)

    def trained(self, step: int) -> None:
        self.steps = step

    def evaluated(self, result: Result, subject: Subject) -> None:
        self.subject = subject
        for name, metric in result.metrics.items():
            self.writer.add_scalar(f"{result.evaluator}/{name}", metric.value, self.steps)
        for name, picture in result.images.items():
            self.writer.add_image(f"{result.evaluator}/{name}", picture, self.steps)

    def ended(self, error: BaseException | None) -> None:
        try:
            if error is None:
                self._add_hyperparameters()
                self._add_projector()
        finally:
            self.writer.close()

    def _add_hyperparameters(self) -> None:
        """Add the settings, without the list of all columns that torch would add.

        TensorBoard takes that list from one run for all, and without it shows the columns that any run has. A run that
        ends a second time repeats what is there, and stays one row.
        """
        settings = {"experiment": self.run.experiment, **dict(_flat("", self.run.settings))}
        _, start, end = hparams(settings, {})
        writer: Any = self.writer.file_writer
        writer.add_summary(start)
        writer.add_summary(end)

    def _add_projector(self) -> None:
        """Write the test images' representations for the projector, if the run was measured and has a test split."""
        if self.subject is None or self.params.points == 0:
            return
        test = self.subject.data.test
        if test is None:
            return
        P = min(self.params.points, len(test))
        index_P = torch.arange(P) * len(test) // P
        z_PD = self.subject.features("test")[index_P.to(self.subject.device)].cpu()
        x_PCHW = self.subject.images("test", index_P).cpu()
        _write_projector(self.run.directory, z_PD, x_PCHW, _columns(test, index_P))


@cache
def _silence_its_thread() -> None:
    """Let the thread that writes the events print no traceback: it hands its error on, and that is told."""
    otherwise = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not type(failure.thread).__module__.startswith("tensorboard."):
            otherwise(failure)

    threading.excepthook = hook


def _require_utf8(folder: Path) -> None:
    """ValueError if TensorBoard could not write to a folder of this name."""
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise ValueError("TensorBoard writes to paths in UTF-8 alone; give another --runs") from error


def _flat(key: str, value: Any) -> Iterator[tuple[str, float | str]]:
    """Dotted keys and values; a plugin's name is the value of its section's key, and what is empty is left out."""
    if key in LEFT_OUT or value is None:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            if key and name == "name":
                yield from _flat(key, inner)
            else:
                yield from _flat(f"{key}.{name}".lstrip("."), inner)
    else:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        yield key, value if is_number else str(value)


def _columns(split: Split, index_P: Tensor) -> dict[str, list[str]]:
    """The targets of the images of these indices, a column each, and the indices."""
    columns = {name: _words(target, index_P) for name, target in split.targets.items()}
    columns["index"] = [str(i) for i in index_P.tolist()]
    return columns


def _words(target: Target, index_P: Tensor) -> list[str]:
    """The target's values in words, each on one line."""
    values = target.values[index_P].tolist()
    if target.classes is None:
        return [f"{value:.6g}" for value in values]
    classes = [" ".join(name.split()) for name in target.classes]
    return [classes[i] if i >= 0 else "no label" for i in values]


def _write_projector(folder: Path, z_PD: Tensor, x_PCHW: Tensor, columns: dict[str, list[str]]) -> None:
    """Write representations, labels and thumbnails, and last the file that names them."""
    projector = folder / "projector"
    table = io.BytesIO()
    np.savetxt(table, z_PD.numpy(), fmt="%.6g", delimiter="\t")
    write_whole(projector / "representation.tsv", table.getvalue(), root=folder)
    rows = list(zip(*columns.values(), strict=True))
    if len(columns) > 1:  # a column that is alone has no head, says the format
        rows.insert(0, tuple(columns))
    lines = ["\t".join(row) + "\n" for row in rows]
    write_whole(projector / "labels.tsv", "".join(lines).encode(errors="backslashreplace"), root=folder)
    thumbnails_PCHW = _thumbnails(x_PCHW)
    picture = io.BytesIO()
    _sprite(thumbnails_PCHW).save(picture, format="png")
    write_whole(projector / "thumbnails.png", picture.getvalue(), root=folder)
    height, width = thumbnails_PCHW.shape[2:]
    config = PROJECTOR.format(width=width, height=height)
    write_whole(folder / "projector_config.pbtxt", config.encode())


def _thumbnails(x_PCHW: Tensor) -> Tensor:
    """The images, no side longer than a thumbnail's."""
    height, width = x_PCHW.shape[2:]
    longer = max(height, width)
    if longer <= THUMBNAIL:
        return x_PCHW
    size = [max(1, height * THUMBNAIL // longer), max(1, width * THUMBNAIL // longer)]
    return F.interpolate(x_PCHW, size, mode="bilinear", antialias=True).clamp(0, 1)


def _sprite(x_PCHW: Tensor) -> Image.Image:
    """The images row by row, as many to a row as there are rows, which is how the projector reads them."""
    P, C, H, W = x_PCHW.shape
    side = math.ceil(math.sqrt(P))
    white = x_PCHW.new_ones(side * side - P, C, H, W)
    tiles = torch.cat([x_PCHW, white]).unflatten(0, (side, side))
    sprite_HWC = tiles.permute(0, 3, 1, 4, 2).reshape(side * H, side * W, C)
    pixels_HWC = (sprite_HWC * 255).round().byte().numpy()
    return Image.fromarray(pixels_HWC if C == 3 else pixels_HWC[..., 0])


@simssl.hookimpl
def simssl_tracker() -> type[Tracker]:
    return TensorBoardTracker

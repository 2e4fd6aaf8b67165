"""A trained run's representations of image files, or of a data set, in one .npz file."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from simssl.api import Data, Posterior, Progress, Split, Target
from simssl.blocks.files import write_whole
from simssl.blocks.images import decoded_images, find_images, fitted_image, read_image
from simssl.errors import UserError
from simssl.evaluation.pictures import fitted_images
from simssl.evaluation.posteriors import joined
from simssl.evaluation.trained import BATCH, TrainedModel
from simssl.experiment.document import ExperimentError
from simssl.experiment.model import Choice
from simssl.experiment.sections import choice
from simssl.plugin.registry import Registry

Arrays = dict[str, np.ndarray]


def check_output(out: Path, force: bool) -> None:
    """Raise UserError, before anything is computed, if this file cannot be written, or is there already."""
    if out.suffix != ".npz":
        raise UserError(f"{out} does not end in .npz, which it will be; name it {out}.npz")
    if not out.parent.is_dir():
        raise UserError(f"{out.parent} is no folder to write {out.name} to; make it, or name another")
    if out.is_dir():
        raise UserError(f"{out} is a folder; name a file")
    if not os.access(out.parent, os.W_OK):
        raise UserError(f"{out} cannot be written, for its folder is not yours to write to; name another")
    if out.exists() and not force:
        raise UserError(f"{out} is there already; give --force to replace it, or another name")


def write(out: Path, arrays: Arrays) -> str:
    """Write the file whole or not at all, and say what is in it."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_whole(out, buffer.getvalue())
    N, D = arrays["mean"].shape
    images = "images" if N > 1 else "image"
    moments = "mean and variance" if "variance" in arrays else "mean"
    targets = sum(key.startswith("target_") for key in arrays)
    plural = "s" if targets > 1 else ""
    labels = f", and {targets} target{plural}" if targets else ""
    return f"{out}: {N:,} {images}, {moments} in {D} dimensions{labels}"


def encode(
    model: TrainedModel,
    images: str,
    registry: Registry,
    data_of: Callable[[Choice], Data],
    progress: Progress,
) -> Arrays:
    """The arrays of the .npz file, for images in a folder, in one file, or of a data set.

    They are `mean` (N, D), and `variance` (N, D) if the method has one. Of image files there is `files` (N,), the paths
    relative to the folder. Of a data set there are `split` and `index` (N,), which say which image a row is of, its
    name `dataset` and its fingerprint `data`. Of the run there are `experiment`, `objective`, `seed`, `run` (its
    folder's name) and `trained_on` (the fingerprint of its data). Those without an N are 0-d. UserError if there are no
    such images, or one cannot be read.

    A data set's targets are `target_NAME` (N,), with `classes_NAME` (K,) where they have classes; their values are the
    numbers of the classes then, and -1 is "no label". An image of a split without the target has -1, or not a number.
    """
    files = os.path.expanduser(images)
    if os.path.exists(files):
        posterior, sources = _encode_files(model, Path(files), progress)
    else:
        chosen = _data_set(model, images, registry)
        data = data_of(chosen)
        posterior, sources = _encode_data(model, data, progress)
        sources["dataset"] = np.array(chosen.name)
        sources["data"] = np.array(data.fingerprint)
    arrays = {"mean": posterior.mean.numpy()}
    if posterior.variance is not None:
        arrays["variance"] = posterior.variance.numpy()
    arrays |= sources
    experiment = model.experiment
    made_by = {
        "experiment": experiment.name,
        "objective": experiment.objective.name,
        "seed": experiment.seed,
        "run": model.run,
        "trained_on": model.trained_on,
    }
    for key, value in made_by.items():
        arrays[key] = np.array(value)
    return arrays


def _encode_files(model: TrainedModel, path: Path, progress: Progress) -> tuple[Posterior, Arrays]:
    folder = path if path.is_dir() else path.parent
    shape = model.source_shape
    longer_side = max(shape[1:])

    def decode(name: str) -> np.ndarray:
        picture = read_image(folder / name, at_least=longer_side)
        return fitted_image(picture, shape)

    try:
        names = find_images(folder) if path.is_dir() else [path.name]
        images = decoded_images(folder, names, decode, progress)
        posteriors = [model.encode(images_BCHW) for images_BCHW in _batches(images)]
        posterior = joined(posteriors)
    except ValueError as error:
        raise UserError(str(error)) from error
    return posterior, {"files": np.array(names)}


def _batches(images: Iterator[np.ndarray]) -> Iterator[Tensor]:
    while True:
        batch = list(islice(images, BATCH))
        if not batch:
            return
        yield torch.from_numpy(np.stack(batch))


def _data_set(model: TrainedModel, text: str, registry: Registry) -> Choice:
    """The data set of this name. The run's own is chosen as in the run, another at its defaults or as '{...}' says."""
    own = model.experiment.dataset
    if text == own.name:
        return own
    try:
        return choice(text, "dataset", registry)
    except ExperimentError as error:
        raise UserError(f"{text} is no file or folder, and no data set either: {error}") from error


def _encode_data(model: TrainedModel, data: Data, progress: Progress) -> tuple[Posterior, Arrays]:
    posteriors = []
    split_names = []
    indices = []
    for name, split in (("train", data.train), ("test", data.test)):
        if split is None:
            continue
        N = len(split)
        done = 0
        parts = math.ceil(N / BATCH)
        for images_BCHW in split.images.tensor_split(parts):
            posteriors.append(model.encode(fitted_images(images_BCHW, model.source_shape)))
            done += len(images_BCHW)
            progress(f"encoding {name}", done, N)
        split_names.append(np.full(N, name))
        indices.append(np.arange(N))
    sources = {
        "split": np.concatenate(split_names),
        "index": np.concatenate(indices),
        **_targets(data),
    }
    return joined(posteriors), sources


def _targets(data: Data) -> Arrays:
    """The targets of all images, and the names of their classes."""
    splits = [split for split in (data.train, data.test) if split is not None]
    named: dict[str, Target] = {}
    for split in splits:
        named = {**split.targets, **named}
    arrays: Arrays = {}
    for name, target in named.items():
        key = name.replace("/", "_")
        values = [_values(split, name, target) for split in splits]
        arrays[f"target_{key}"] = np.concatenate(values)
        if target.classes is not None:
            arrays[f"classes_{key}"] = np.array(target.classes)
    return arrays


def _values(split: Split, name: str, like: Target) -> np.ndarray:
    """A target's values (N,) of a split; if the split has no such target, what stands for an unknown one."""
    if name in split.targets:
        return split.targets[name].values.numpy()
    unknown = float("nan") if like.classes is None else -1
    return torch.full((len(split),), unknown, dtype=like.values.dtype).numpy()

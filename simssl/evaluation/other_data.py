"""The images of another data set, which an evaluator's `dataset:` names, brought to the shape of the run's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simssl.api import Data, Split
from simssl.errors import UserError
from simssl.evaluation.pictures import fitted_images, require_fitting
from simssl.experiment.model import Choice
from simssl.training.build import BuiltRun

LoadData = Callable[[Choice], Data]
"""Returns the data set that is chosen. UserError says what to put where if it cannot be had."""


@dataclass(frozen=True)
class Other:
    """The test images of another data set (those of train, if it has no others), in the shape of the run's images."""

    name: str
    """The name of the data set. It stands before the metrics of its images: "<name>/<metric>"."""
    split: Split
    fingerprint: str
    """That of the data set."""


def check_other(choice: Choice, built: BuiltRun, load: LoadData) -> None:
    """Raise UserError, before anything is trained, if the evaluator's other data set cannot be had, or does not fit."""
    if choice.dataset is not None:
        _split(choice, choice.dataset, built, load)


def other_data(choice: Choice, built: BuiltRun, load: LoadData) -> Other | None:
    """Return the other data set that an evaluator names; None if it names none."""
    if choice.dataset is None:
        return None
    split = _split(choice, choice.dataset, built, load)
    C, H, W = built.data.train.images.shape[1:]
    images_NCHW = fitted_images(split.images, (C, H, W))
    fingerprint = load(choice.dataset).fingerprint
    return Other(choice.dataset.name, Split(images_NCHW, split.targets, split.group), fingerprint)


def _split(choice: Choice, dataset: Choice, built: BuiltRun, load: LoadData) -> Split:
    data = load(dataset)
    split = data.test if data.test is not None else data.train
    C, H, W = built.data.train.images.shape[1:]
    try:
        require_fitting(split.images, (C, H, W))
    except UserError as error:
        raise UserError(f"evaluator '{choice.label}', dataset '{dataset.name}': {error}") from error
    return split

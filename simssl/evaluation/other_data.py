"""Another data set, which an evaluator's `dataset:` names, brought to the shape of the run's images.

Most evaluators measure it in place of the run's own data. Some are given its images beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from simssl.api import Data, Shape, Split
from simssl.errors import UserError
from simssl.evaluation.pictures import fitted_images, require_fitting
from simssl.experiment.model import Choice
from simssl.training.build import BuiltRun
from simssl.training.views.positives import with_roles

LoadData = Callable[[Choice], Data]
"""Returns the data set that is chosen. UserError says what to put where if it cannot be had."""


# --- beside the run's own data


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
    if choice.beside and choice.dataset is not None:
        _split(choice, choice.dataset, built, load)


def other_data(choice: Choice, built: BuiltRun, load: LoadData) -> Other | None:
    """Return the other data set that an evaluator is given beside the run's own; None if it is given none."""
    if not choice.beside or choice.dataset is None:
        return None
    split = _split(choice, choice.dataset, built, load)
    images_NCHW = fitted_images(split.images, shape_of(built.data))
    fingerprint = load(choice.dataset).fingerprint
    return Other(choice.dataset.name, Split(images_NCHW, split.targets, split.group), fingerprint)


def _split(choice: Choice, dataset: Choice, built: BuiltRun, load: LoadData) -> Split:
    data = load(dataset)
    split = data.test if data.test is not None else data.train
    _require_fitting(choice, dataset, split, built)
    return split


def _require_fitting(choice: Choice, dataset: Choice, split: Split, built: BuiltRun) -> None:
    try:
        require_fitting(split.images, shape_of(built.data))
    except UserError as error:
        raise UserError(f"evaluator '{choice.label}', dataset '{dataset.name}': {error}") from error


def shape_of(data: Data) -> Shape:
    """Channels, height and width of the images."""
    C, H, W = data.train.images.shape[1:]
    return C, H, W


# --- in place of the run's own data


def run_on(choice: Choice, built: BuiltRun, load: LoadData | None) -> BuiltRun:
    """Return the run with the data set that an evaluator measures in place of the run's own, its images as they come.

    UserError if that data set cannot be had, or does not fit.
    """
    if choice.elsewhere is None:
        return built
    assert load is not None, "another data set has to be loaded"
    data = load(choice.elsewhere)
    _require_fitting(choice, choice.elsewhere, data.train, built)
    train = _with_known_modalities(data.train, built.data.train)
    test = _with_known_modalities(data.test, built.data.train) if data.test else None
    run = replace(built, data=replace(data, train=train, test=test), groups=None)
    shared = shared_in(run)
    return replace(run, data=with_roles(run.data, shared)) if shared else run


def _with_known_modalities(split: Split, known: Split) -> Split:
    """The split, with those modalities alone whose names and words are those of the run's: it learned no others."""
    modalities = {}
    for name, modality in split.modalities.items():
        own = known.modalities.get(name)
        if own is None or (own.names, own.vocabulary) != (modality.names, modality.vocabulary):
            continue
        if own.values.shape[1] == modality.values.shape[1]:
            modalities[name] = modality
    return replace(split, modalities=modalities)


def shared_in(run: BuiltRun) -> tuple[str, ...]:
    """Return the targets, or "group", that the views of an image share; () if the data do not know all of them."""
    positives = run.experiment.positives
    if positives is None:
        return ()
    train = run.data.train
    known = set(train.targets) if train.group is None else {*train.targets, "group"}
    return positives.share if known.issuperset(positives.share) else ()


class Fitted:
    """A run on other data sets, their images brought to the shape of its own. The last one's are kept."""

    def __init__(self, built: BuiltRun) -> None:
        self._built = built
        self._name = ""
        self._data = built.data

    def run(self, choice: Choice, run: BuiltRun) -> BuiltRun:
        """Return `run_on` of an evaluator with its images brought over."""
        if choice.elsewhere is None:
            return run
        name = repr(choice.elsewhere.resolved)
        if name != self._name:
            self._data = _fitted(run.data, shape_of(self._built.data))
            self._name = name
        return replace(run, data=self._data)


def _fitted(data: Data, shape: Shape) -> Data:
    train = _fitted_split(data.train, shape)
    test = _fitted_split(data.test, shape) if data.test else None
    return replace(data, train=train, test=test)


def _fitted_split(split: Split, shape: Shape) -> Split:
    return replace(split, images=fitted_images(split.images, shape))


def brought_over(theirs: Shape, ours: Shape) -> str:
    """The words for how images of another data set's shape become those of the run's; empty if the shapes are one."""
    if theirs == ours:
        return ""
    words = [f"from {_size(theirs)} to {_size(ours)}"]
    if theirs[1:] != ours[1:]:
        words.append("the largest centred box, resized bilinearly")
    if theirs[0] != ours[0]:
        words.append("grey in all channels" if theirs[0] == 1 else "in grey")
    return ", ".join(words)


def _size(shape: Shape) -> str:
    return " x ".join(map(str, shape))

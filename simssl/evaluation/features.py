"""The representations of a split, kept for the evaluators before they run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from simssl.api import Data, Split
from simssl.evaluation.feature_cache import load_features, save_features, weights_digest
from simssl.evaluation.posteriors import require_finite
from simssl.experiment.model import Choice
from simssl.store.folder import RunFolder
from simssl.training.build import BuiltRun

LAYER = "representation"


def features_wanted(built: BuiltRun, folder: RunFolder, choices: Sequence[Choice]) -> list[str]:
    """The splits of the run's data whose representations these evaluators may want, and which are not kept yet."""
    if all(choice.elsewhere for choice in choices):
        return []
    splits = ["train"] if built.data.test is None else ["train", "test"]
    return [split for split in splits if load_features(*_file(built, folder, split)) is None]


def split_of(data: Data, name: str) -> Split:
    """The split of this name, which the data has."""
    split = {"train": data.train, "test": data.test}[name]
    assert split is not None, "an evaluator that reads the test split must need it"
    return split


def keep_features(built: BuiltRun, folder: RunFolder, split: str, z_ND: Tensor) -> None:
    """Keep the representations (N, D) of a split. RunError if one is not finite."""
    features_ND = z_ND.float().cpu()
    require_finite(features_ND, LAYER, str(folder.path), f"the {len(features_ND):,} {split} images")
    file, made_of = _file(built, folder, split)
    save_features(folder, file, features_ND, made_of)


def place_of(built: BuiltRun, within: Path, layer: str, split: str, weights: str) -> tuple[Path, str]:
    """The file of a split's features, in the folder `within`, and what they depend on, as text.

    `weights` is the digest of the weights.
    """
    file = within / f"{layer}-{split}.npy"
    return file, f"{layer} of {split} of {built.data.fingerprint} by {weights}"


def _file(built: BuiltRun, folder: RunFolder, split: str) -> tuple[Path, str]:
    return place_of(built, folder.features, LAYER, split, weights_digest(built.objective))

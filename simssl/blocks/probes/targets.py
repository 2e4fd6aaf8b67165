"""The targets of a data set that are to be predicted, and whether there are labels for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from simssl.blocks.messages import nearest
from simssl.blocks.probes.splits import selection_split


def has_classes(target: Any) -> bool:
    """True if there is something to predict: two classes at least."""
    return bool(target.classes) and len(target.classes) > 1


def class_targets(targets: Mapping[str, Any], names: Sequence[str] | None) -> list[str]:
    """The targets of these names, or all that have classes.

    ValueError if one is unknown, has fewer than two classes, or is named twice. `targets`: name -> an object with
    `classes`, as `Split.targets`.
    """
    known = [name for name, target in targets.items() if has_classes(target)]
    if names is None:
        return known
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the target '{name}' is named twice")
        if name not in known:
            hint = f"it has {', '.join(known) or 'none'}"
            near = nearest(name, known)
            if near:
                hint = f"did you mean '{near}'?"
            raise ValueError(f"the data set has no target '{name}' of two or more classes; {hint}")
    return list(names)


def labelled_targets(data: Any, names: Sequence[str] | None, held_out: bool = False) -> list[str]:
    """The targets that `class_targets` gives of train, each with labels.

    ValueError too if a target has no label in train, or in test; with `held_out`, also if it has none in the part of
    train that is fitted on, or in the part that is selected on. `data`: an object with `train`, `test` and
    `validation`, as `simssl.api.Data`.
    """
    train = data.train
    test = data.test
    chosen = class_targets(train.targets, names)
    for name in chosen:
        _require_labels("the training split", name, train.targets[name].values)
    if test is not None:
        for name in chosen:
            _require_labels("the test split", name, test.targets[name].values)
    if held_out:
        fit_N, held_out_N = selection_split(data)
        for name in chosen:
            _require_labels("the images to fit on", name, train.targets[name].values[fit_N])
        to_select_on = f"{data.held_out}, to select on,"
        for name in chosen:
            _require_labels(to_select_on, name, train.targets[name].values[held_out_N])
    return chosen


def _require_labels(part: str, name: str, values_N: Tensor) -> None:
    if not bool((values_N >= 0).any()):
        raise ValueError(f"no image of {part} has a label of '{name}'; name other targets in 'targets'")

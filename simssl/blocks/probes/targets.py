"""Choosing the targets of a data set that are to be predicted."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from simssl.blocks.probes.splits import selection


def has_classes(target: Any) -> bool:
    """Whether there is something to predict: two classes at least."""
    return bool(target.classes) and len(target.classes) > 1


def class_targets(targets: Mapping[str, Any], names: Sequence[str] | None) -> list[str]:
    """The targets of these names, or all that have classes; ValueError if one is unknown, has no two classes, or is
    named twice.

    `targets`: name -> an object with `classes`, as `Split.targets`.
    """
    known = [name for name, target in targets.items() if has_classes(target)]
    for name in names or ():
        if (names or ()).count(name) > 1:
            raise ValueError(f"the target '{name}' is named twice")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known) or 'none'}"
            raise ValueError(f"the data set has no target '{name}' of two or more classes; {hint}")
    return known if names is None else list(names)


def labelled_targets(data: Any, names: Sequence[str] | None, held_out: bool = False) -> list[str]:
    """As `class_targets` of train; ValueError too if a target has no label in train, or in test; with `held_out`, also
    if it has none in the part of train that is fitted on, or in the part that is selected on.

    `data`: an object with `train`, `test` and `validation`, as `simssl.api.Data`.
    """
    chosen = class_targets(data.train.targets, names)
    parts = {"the training split": data.train.targets}
    if data.test is not None:
        parts["the test split"] = data.test.targets
    for part, targets in parts.items():
        _require_labels(part, {name: targets[name].values for name in chosen})
    if held_out:
        fit_N, held_out_N = selection(data)
        for part, index_N in (("the images to fit on", fit_N), (f"{data.held_out}, to select on,", held_out_N)):
            _require_labels(part, {name: data.train.targets[name].values[index_N] for name in chosen})
    return chosen


def _require_labels(part: str, values: Mapping[str, Tensor]) -> None:
    for name, values_N in values.items():
        if not bool((values_N >= 0).any()):
            raise ValueError(f"no image of {part} has a label of '{name}'; name other targets in 'targets'")

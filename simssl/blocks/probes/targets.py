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


def is_known(target: Any) -> Tensor:
    """True for each image (N,) that has a label, or a number."""
    values_N: Tensor = target.values
    return values_N.isfinite() if target.classes is None else values_N >= 0


def class_targets(targets: Mapping[str, Any], names: Sequence[str] | None) -> list[str]:
    """The targets of these names, or all that have classes.

    ValueError if one is unknown, has fewer than two classes, or is named twice. `targets`: name -> an object with
    `classes`, as `Split.targets`.
    """
    known = [name for name, target in targets.items() if has_classes(target)]
    return _named(names, known, " of two or more classes")


def measurable_targets(targets: Mapping[str, Any], names: Sequence[str] | None) -> list[str]:
    """The targets of these names, or all that have two or more classes, or are numbers. ValueError as above."""
    known = [name for name, target in targets.items() if target.classes is None or has_classes(target)]
    return _named(names, known, " of numbers, or of two or more classes")


def _named(names: Sequence[str] | None, known: list[str], kind: str) -> list[str]:
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
            raise ValueError(f"the data set has no target '{name}'{kind}; {hint}")
    return list(names)


def labelled_targets(data: Any, names: Sequence[str] | None, held_out: bool = False) -> list[str]:
    """The targets that `class_targets` gives of train, each with labels.

    ValueError too if a target has no label in train, or in test; with `held_out`, also if it has none in the part of
    train that is fitted on, or in the part that is selected on. `data`: an object with `train`, `test` and
    `validation`, as `simssl.api.Data`.
    """
    chosen = class_targets(data.train.targets, names)
    _require_known(data, chosen, held_out)
    return chosen


def require_modality(data: Any, name: str) -> None:
    """ValueError if the data set has modalities, and none of this name. One without any is skipped, and no mistake.

    `data`: as above.
    """
    there = data.train.modalities
    if there and name not in there:
        raise ValueError(f"the data set has no modality '{name}'; it has {', '.join(there)}")


def known_targets(data: Any, names: Sequence[str] | None) -> list[str]:
    """The targets that `measurable_targets` gives of train, each known of some images to fit, to select and to test on.

    ValueError if one is not. `data`: as above.
    """
    chosen = measurable_targets(data.train.targets, names)
    _require_known(data, chosen, held_out=True)
    return chosen


def by_role(names: Sequence[str], targets: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names that means are taken over: all under "", and where there are both, content and style by their role."""
    groups = {"": list(names)}
    content = [name for name in names if targets[name].role == "content"]
    style = [name for name in names if targets[name].role == "style"]
    if content and style:
        groups |= {"content": content, "style": style}
    return groups


def _require_known(data: Any, names: Sequence[str], held_out: bool) -> None:
    train = data.train
    for name in names:
        _require_labels("the training split", name, train.targets[name])
    if data.test is not None:
        for name in names:
            _require_labels("the test split", name, data.test.targets[name])
    if held_out:
        fit_N, held_out_N = selection_split(data)
        for name in names:
            _require_labels("the images to fit on", name, train.targets[name], fit_N)
        to_select_on = f"{data.held_out}, to select on,"
        for name in names:
            _require_labels(to_select_on, name, train.targets[name], held_out_N)


def _require_labels(part: str, name: str, target: Any, index_N: Tensor | None = None) -> None:
    known_N = is_known(target)
    if index_N is not None:
        known_N = known_N[index_N]
    if not bool(known_N.any()):
        what = "number" if target.classes is None else "label"
        raise ValueError(f"no image of {part} has a {what} of '{name}'; name other targets in 'targets'")

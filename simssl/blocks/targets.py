"""Choosing targets of a data set by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any


def class_targets(targets: Mapping[str, Any], names: Sequence[str] | None) -> list[str]:
    """The targets of these names, or all that have classes; ValueError if one is unknown, classless or named twice.

    `targets`: name -> an object with `classes`, as `Split.targets`.
    """
    known = [name for name, target in targets.items() if target.classes]
    for name in names or ():
        if (names or ()).count(name) > 1:
            raise ValueError(f"the target '{name}' is named twice")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known) or 'none'}"
            raise ValueError(f"the data set has no class target '{name}'; {hint}")
    return known if names is None else list(names)


def labelled_targets(data: Any, names: Sequence[str] | None) -> list[str]:
    """As `class_targets` of train; ValueError too if a target has no label in train, or in test, if there is one.

    `data`: an object with `train` and `test`, as `simssl.api.Data`.
    """
    chosen = class_targets(data.train.targets, names)
    for split in ("train", "test") if data.test is not None else ("train",):
        for name in chosen:
            if not bool((getattr(data, split).targets[name].values >= 0).any()):
                raise ValueError(f"no image of the {split} split has a label of '{name}'; leave it out of 'targets'")
    return chosen

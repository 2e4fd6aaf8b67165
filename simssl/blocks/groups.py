"""Groups: the images that agree in what they share, such as all of one object. N counts images, T labels of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from simssl.blocks.messages import listed

GROUP = "group"
"""The name of the data set's own groups, among those of its targets."""


def shared_labels(split: Any, names: Sequence[str]) -> list[Tensor]:
    """Return the labels (N,) of each of these targets with classes; "group" is the data set's own groups.

    ValueError says what can be named, if a name is neither. `split`: as `simssl.api.Split`.
    """
    return [_labels(split, name) for name in names]


def _labels(split: Any, name: str) -> Tensor:
    if name == GROUP and split.group is not None:
        own_N: Tensor = split.group
        return own_N
    target = split.targets.get(name)
    if target is None and name == GROUP:
        raise ValueError(f"the data set has no groups of its own; {_possible(split)}")
    if target is None:
        raise ValueError(f"the data set has no target '{name}'; {_possible(split)}")
    if target.classes is None:
        raise ValueError(f"target '{name}' has no classes to agree in; {_possible(split)}")
    values_N: Tensor = target.values
    return values_N


def _possible(split: Any) -> str:
    names = [name for name, target in split.targets.items() if target.classes is not None]
    if split.group is not None:
        names.insert(0, GROUP)
    if not names:
        return "it has nothing that images could share; leave it out"
    return f"images can share {listed(names)}"


def group_numbers(labels: Sequence[Tensor]) -> Tensor:
    """Return the number (N,) of each image's group, from 0: images of one group agree in all labels, each int64 (N,).

    An image of which a label is negative (it is not known) is a group by itself. Its number is above those of the
    others.
    """
    labels_NT = torch.stack(tuple(labels), dim=1)
    is_known_N = (labels_NT >= 0).all(1)
    _, known = labels_NT[is_known_N].unique(dim=0, return_inverse=True)
    groups = int(known.max()) + 1 if len(known) else 0
    unknown = len(labels_NT) - len(known)
    numbers_N = torch.empty(len(labels_NT), dtype=torch.int64)
    numbers_N[is_known_N] = known.cpu()
    numbers_N[~is_known_N.cpu()] = torch.arange(groups, groups + unknown)
    return numbers_N


def known_groups(split: Any, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return the number (N,) of the group that each image shares these targets with, and whether all are known (N,).

    ValueError as of `shared_labels`.
    """
    labels = shared_labels(split, names)
    known_N = torch.stack(labels).ge(0).all(0)
    return group_numbers(labels), known_N

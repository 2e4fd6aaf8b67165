"""Groups: the images that agree in what they share, such as all of one object. N counts images, T labels of each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


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

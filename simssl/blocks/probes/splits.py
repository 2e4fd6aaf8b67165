"""Fixed splits, the same on every machine and in every version.

V counts the images to select on, where the data set names them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def stratified_permutation(labels_N: Tensor, seed: int = 0) -> Tensor:
    """A fixed permutation (N,) any stretch of which has about the class proportions of the whole.

    Within each class the order is random; the classes are interleaved by rank. NumPy promises that
    RandomState's stream never changes.
    """
    labels = labels_N.cpu().numpy()
    random = np.random.RandomState(seed)
    position = np.empty(len(labels))
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        rank = np.arange(len(members)) + random.uniform()
        position[random.permutation(members)] = rank / len(members)
    return torch.from_numpy(np.argsort(position, kind="stable"))


def held_out_split(labels_N: Tensor, fraction: float = 0.1, chosen_V: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Indices to fit on and indices to select on: the last tenth of the fixed stratified permutation.

    With `chosen_V` these are selected on, and all others fitted on; both in the permutation's order.
    """
    order_N = stratified_permutation(labels_N)
    if chosen_V is not None:
        is_chosen_N = torch.zeros(len(order_N), dtype=torch.bool)
        is_chosen_N.index_fill_(0, chosen_V, True)
        chosen_N = is_chosen_N[order_N]
        return order_N[~chosen_N], order_N[chosen_N]
    selected = max(1, round(fraction * len(order_N)))
    fitted = len(order_N) - selected
    return order_N[:fitted], order_N[fitted:]


def selection_split(data: Any) -> tuple[Tensor, Tensor]:
    """Indices of train to fit on and to select on, stratified by the first target that has classes.

    The official validation images are selected on where there are some. `data`: an object with `train` and
    `validation`, as `simssl.api.Data`.
    """
    for target in data.train.targets.values():
        if target.classes:
            return held_out_split(target.values, chosen_V=data.validation)
    return held_out_split(torch.zeros(len(data.train)), chosen_V=data.validation)


def require_images_to_fit_on(data: Any, least: int = 1) -> None:
    """ValueError if `selection_split` leaves fewer images than `least` to fit on."""
    fit_N, _ = selection_split(data)
    fitted = len(fit_N)
    if fitted < least:
        images = "image is" if least == 1 else "images are"
        raise ValueError(f"{fitted} training images are left to fit on, and at least {least} {images} needed")

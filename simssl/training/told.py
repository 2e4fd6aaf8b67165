"""What an objective's `forward` is told beside the views: modalities and groups, if it asks for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from simssl.training.build import BuiltRun
from simssl.training.views import BySize

Keywords = dict[str, Any]
"""The keywords that `Objective.forward` is given beside the views, their index and the generator."""


class Told:
    """The modalities and the groups of the training images. All of them lie on the device."""

    def __init__(self, built: BuiltRun) -> None:
        there = built.data.train.modalities
        self._values_N = {name: there[name].values.to(built.device) for name in built.objective.modalities}
        self._groups = built.groups
        self._uses_groups = built.objective.uses_groups

    def of(self, x_BJCHW: Tensor | BySize, index_B: Tensor) -> Keywords:
        """Return the keywords of these images. There is none for an objective that asks for nothing."""
        told: Keywords = {}
        if self._values_N:
            largest = x_BJCHW if isinstance(x_BJCHW, Tensor) else x_BJCHW[0]
            told["modalities_B"] = self._rows(index_B, largest.dtype)
        if self._uses_groups:
            told["group_B"] = self._group(index_B)
        return told

    def _rows(self, index_B: Tensor, precision: torch.dtype) -> dict[str, Tensor]:
        """The rows of each modality. Vectors have this precision, which is that of the views."""
        rows = {}
        for name, values_N in self._values_N.items():
            values_B = values_N.index_select(0, index_B)
            rows[name] = values_B.to(precision) if values_B.is_floating_point() else values_B
        return rows

    def _group(self, index_B: Tensor) -> Tensor:
        """The number of each image's group. Without groups each image is one."""
        if self._groups is None:
            return index_B
        return self._groups.number_N.index_select(0, index_B)

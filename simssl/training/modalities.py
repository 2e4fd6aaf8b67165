"""The modalities that an objective learns from, as a step gives them: rows by index, on the device."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from simssl.training.build import BuiltRun

Keywords = dict[str, Any]
"""The keywords that `Objective.forward` is given beside the views, their index and the generator."""


class ModalityRows:
    """The values of an objective's modalities. All of them lie on the device."""

    def __init__(self, built: BuiltRun) -> None:
        there = built.data.train.modalities
        self._values_N = {name: there[name].values.to(built.device) for name in built.objective.modalities}

    def of(self, x_BJCHW: Tensor, index_B: Tensor) -> Keywords:
        """Return the keyword of these images. There is none for an objective that declares no modality.

        Vectors have the precision of the views.
        """
        if not self._values_N:
            return {}
        rows = {}
        for name, values_N in self._values_N.items():
            values_B = values_N.index_select(0, index_B)
            rows[name] = values_B.to(x_BJCHW.dtype) if values_B.is_floating_point() else values_B
        return {"modalities_B": rows}

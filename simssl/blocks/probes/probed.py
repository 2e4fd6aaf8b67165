"""What probes are fitted on, and what becomes of each. M counts the probes, one for each target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from simssl.blocks.probes.regression import Standardizer
from simssl.blocks.probes.scores import accuracies


@dataclass(frozen=True)
class LabelledFeatures:
    """Features (N, D) with the labels (M, N) of M targets, -1 for none."""

    x_ND: Tensor
    labels_MN: Tensor

    def __getitem__(self, index_B: Tensor) -> LabelledFeatures:
        return LabelledFeatures(self.x_ND[index_B], self.labels_MN[:, index_B])

    def scaled(self, scale: Standardizer) -> LabelledFeatures:
        return LabelledFeatures(scale(self.x_ND), self.labels_MN)


@dataclass(frozen=True)
class ProbedTarget:
    """The result of one target's probe.

    It has the number of epochs that were chosen, and, of the test images that have a label, the logits (N, C) and the
    labels (N,).
    """

    target: str
    epochs: int
    logits_NC: Tensor
    labels_N: Tensor
    lr: float | None = None
    """The learning rate, if it was chosen."""
    undertrained: bool = False
    """True if more training would do better: it had not converged, or its last epoch was the best."""
    held_out: float | None = None
    """The accuracy on the held-out images before all of train was trained on; None if the choice was made on test."""

    @property
    def accuracy(self) -> float:
        return accuracies(self.logits_NC[None], self.labels_N[None]).item()

    @property
    def protocol(self) -> dict[str, Any]:
        """What was chosen for this probe, for the protocol of its numbers."""
        selected: dict[str, Any] = {"epochs": self.epochs}
        if self.lr is not None:
            selected["lr"] = self.lr
        protocol: dict[str, Any] = {"selected": selected}
        if self.undertrained:
            protocol["found"] = {"undertrained": True}
        return protocol

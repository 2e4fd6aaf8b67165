"""The parameters of probes: what is predicted, from which layer, and how a probe is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from simssl.blocks.probes.parameters import LayerName, TargetNames

OWN: dict[str, dict[str, Any]] = {
    "converged": {"steps": 100_000},
    "paper": {"epochs": 200, "lr": 3e-4},
}
"""The parameters that one protocol has and the other has not, with their defaults."""


class ProbeParams(BaseModel):
    """The parameters of all probes. A probe's Params inherit them, before simssl.Params.

    Those of the other protocol are None, and are not written down.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    targets: TargetNames | None = None
    "Targets of the data set to predict; all that have classes if empty."
    protocol: Literal["converged", "paper"] = "converged"
    """How a probe is trained: until twice as many steps do no better, at a learning rate that is chosen from a few; or
    as the paper does, for `epochs` at `lr`, which is what is meant where one of these is given. Ours: converged."""
    steps: int | None = Field(None, ge=1)
    "Most steps of a probe that is trained until it has converged; 100,000 if empty. Ours."
    epochs: int | None = Field(None, ge=1)
    "Most passes over the training images in the paper's protocol; 200 if empty. Source: the paper."
    batch: int = Field(64, ge=1)
    "Images in a step. Source: the paper, 64."
    lr: float | None = Field(None, gt=0)
    "Learning rate of Adam in the paper's protocol; 3e-4 if empty. Source: the paper."
    layer: LayerName = "representation"
    select: Literal["held_out", "test"] = "held_out"
    "Where the choice is made: on images held out of train, or on test (the release's way, for its tables alone)."

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Fill in what the protocol has, and refuse what the other one has. A run of an older simssl names none."""
        given = self.model_fields_set
        if "protocol" not in given and not (self.epochs is None and self.lr is None):
            self._set("protocol", "paper")
        for name, defaults in OWN.items():
            for key, default in defaults.items():
                is_given = getattr(self, key) is not None
                if name == self.protocol and not is_given:
                    self._set(key, default)
                elif name != self.protocol and is_given:
                    raise ValueError(
                        f"'{key}' belongs to 'protocol: {name}', and the protocol here is '{self.protocol}'"
                    )
        return self

    def _set(self, key: str, value: Any) -> None:
        """Set a field while the parameters are made, which are frozen from then on."""
        self.__dict__[key] = value

    @model_serializer(mode="wrap")
    def _written(self, write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """What the protocol has. The paper's goes without its name, as older runs have it: their numbers are alike."""
        written = write(self)
        for name, defaults in OWN.items():
            if name != self.protocol:
                for key in defaults:
                    del written[key]
        if self.protocol == "paper":
            del written["protocol"]
        return written

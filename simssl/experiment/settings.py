"""The core's own sections of the experiment file: views and training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from simssl.experiment.numbers import Count, Positive
from simssl.experiment.optimizers import LARS, SGD, Adam, AdamW, Optimizer
from simssl.experiment.views import Blur, Crop, Finish, Jitter, ViewSettings
from simssl.params import Params

__all__ = [
    "LARS",
    "SGD",
    "Adam",
    "AdamW",
    "Blur",
    "Crop",
    "Finish",
    "Jitter",
    "Optimizer",
    "Schedule",
    "Training",
    "ViewSettings",
]


class Schedule(Params):
    """The learning rate over the run."""

    name: Literal["constant", "cosine"] = "constant"
    "After the warm-up: constant, or falling to 0 along a half cosine (Loshchilov & Hutter 2017)."
    warmup: float = Field(0.0, ge=0, lt=1)
    "Fraction of all steps over which the learning rate rises linearly from 0."


class Training(Params):
    """How long, how fast and how exactly a method is trained. Give `epochs` or `views`."""

    epochs: Count | None = None
    "Budget in passes over the training images."
    views: Count | None = None
    "Budget in images shown, every view counted; methods are compared at equal views."
    batch_views: Count = 120
    "Views in a step. The step takes batch_views // J images, J being the views that the objective needs."
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Of a training step: float32; tf32, where CUDA rounds what convolutions and matrix products take to 10 bits; or
    the networks in bfloat16 under autocast and the losses in float32. A device that has no such products computes in
    float32. Measured in float32."""
    channels_last: bool = False
    """Keep the weights of convolutions channel by channel last, which can be faster, above all in bfloat16. An
    experiment says so for itself, since it can be slower too."""
    optimizer: Optimizer = Adam()
    "The optimiser; an objective may set parts of it for some of its parameters."
    gradient_clip: Positive | None = None
    "Largest norm of the gradient of all parameters together; longer ones are shortened to it. None if empty."
    schedule: Schedule = Schedule()
    "The learning rate over the run."
    deterministic: bool = False
    "On CUDA: bit-equal repetition and resumption, at some cost in speed. A CPU run always has them."
    log_every: Count = 100
    "Steps between two records of the loss terms (each is the mean since the last)."
    checkpoint_seconds: float = Field(30.0, ge=0)
    "Least time between two checkpoints; 0 saves at every record of the loss terms."

    @model_validator(mode="after")
    def _one_budget(self) -> Training:
        if (self.epochs is None) == (self.views is None):
            raise ValueError("give the budget as 'epochs' or as 'views'" + (", not as both" if self.epochs else ""))
        return self

"""The core's own sections of the experiment file: views and training."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from simssl.experiment.numbers import Count, Few, Positive
from simssl.experiment.optimizers import LARS, SGD, Adam, AdamW, Optimizer
from simssl.experiment.views import Blur, Crop, Finish, Jitter, Operations, SmallViews, Solarize, ViewSettings
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
    "Moments",
    "Operations",
    "Optimizer",
    "Positives",
    "Schedule",
    "Selection",
    "SmallViews",
    "Solarize",
    "Training",
    "ViewSettings",
]


class Positives(Params):
    """The images that the views of an image come from: J of them, which agree in what they share."""

    share: Annotated[tuple[str, ...], Field(min_length=1, examples=[["group"]])]
    """Targets with classes, in all of which the images agree; or `group`, the data set's own groups. The first image is
    drawn as ever, the others from its group: each of them once, or with replacement from a group of fewer than J. An
    image of which a label is not known is a group by itself. What is shared is content in this run, all else style."""

    @field_validator("share")
    @classmethod
    def _named_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"'{name}' stands in it twice")
        return names


class Moments(Params):
    """The steps of a training after which something is measured. Give one of `every`, `every_steps` and `points`."""

    every: Count | None = None
    "Views between two measurements, every view counted as in `training.views`."
    every_steps: Count | None = None
    "Steps between two measurements."
    points: Few | None = None
    "Measurements in all, after steps that are evenly spaced on a logarithmic scale from 1 to the last."

    @model_validator(mode="after")
    def _one_spacing(self) -> Self:
        given = [name for name in ("every", "every_steps", "points") if getattr(self, name) is not None]
        if len(given) != 1:
            came = f", not {' and '.join(given)}" if given else ""
            raise ValueError(f"say when to measure by one of 'every' (views), 'every_steps' and 'points'{came}")
        return self

    def steps(self, steps: int, views_per_step: int) -> list[int]:
        """Return the steps of a training of so many: 0, which is before the first one, and the last among them."""
        if not steps:
            return []
        if self.points is not None:
            spaced = [round(steps ** (i / max(1, self.points - 1))) for i in range(self.points)]
        elif self.every is not None:
            every = max(self.every, views_per_step)  # each step at most once
            times = steps * views_per_step // every
            spaced = [math.ceil(i * every / views_per_step) for i in range(1, times + 1)]
        else:
            spaced = list(range(0, steps, self.every_steps or 1))
        return sorted({0, *spaced, steps})


class Selection(Moments):
    """A number on held-out images that ends a training, or chooses the step whose weights are kept."""

    metric: str
    """The metric of `evaluator` that decides, without the evaluator's name: class/accuracy. It decides by its value on
    the images that are held out of train, and never by test. The weights before the first step are no candidate."""
    patience: Count | None = None
    "Measurements in a row without a better one than the best so far, after which the training ends. None if empty."
    keep: Literal["best", "last"] = "last"
    "The weights that the run keeps at its end: those of the best measurement, or the last."

    @model_validator(mode="after")
    def _decides_something(self) -> Self:
        if self.patience is None and self.keep == "last":
            raise ValueError("'selection' decides nothing; give 'patience', or 'keep: best'")
        return self


class Schedule(Params):
    """The learning rate over the run."""

    name: Literal["constant", "cosine"] = "constant"
    "After the warm-up: constant, or falling to 0 along a half cosine (Loshchilov & Hutter 2017)."
    warmup: float = Field(0.0, ge=0, lt=1)
    "Fraction of all steps over which the learning rate rises linearly from 0."


class Training(Params):
    """The training of a method: budget, batch, precision and optimiser. Give `epochs` or `views`."""

    epochs: Count | None = None
    "Budget in passes over the training images."
    views: Count | None = None
    "Budget in images shown, every view counted; methods are compared at equal views."
    batch_views: Count = 120
    "Views in a step. The step takes batch_views // J images, J being the views that the objective needs."
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Precision of a training step: float32; tf32, where CUDA rounds the factors of convolutions and matrix products
    to 10 bits; or bfloat16, with the networks in bfloat16 under autocast and the losses in float32. A device that has
    no such products computes in float32. Measurements are made in float32."""
    channels_last: bool = False
    """Keep the weights of convolutions with the channels last in memory. This can be faster, above all in bfloat16. It
    can also be slower, so each experiment says it for itself."""
    optimizer: Optimizer = Adam()
    "The optimiser; an objective may set parts of it for some of its parameters."
    gradient_clip: Positive | None = None
    "Largest norm of the gradient of all parameters together. Longer ones are shortened to it. None if empty."
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
        if self.epochs is None and self.views is None:
            raise ValueError("give the budget as 'epochs' or as 'views'")
        if self.epochs is not None and self.views is not None:
            raise ValueError("give the budget as 'epochs' or as 'views', not as both")
        return self

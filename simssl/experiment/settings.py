"""The core's own sections of the experiment file: views and training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from simssl.experiment.params import Params


def _whole(value: Any) -> Any:
    """`6e5` is a float in YAML; a count may be written so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Crop(Params):
    """A random resized crop, distributed as torchvision's RandomResizedCrop."""

    scale: tuple[Fraction, Fraction] = (0.08, 1.0)
    "Smallest and largest area of the crop, as a fraction of the image's."
    ratio: tuple[Positive, Positive] = (0.75, 1.3333)
    "Smallest and largest ratio of width to height."

    @model_validator(mode="after")
    def _ordered(self) -> Crop:
        for name in ("scale", "ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"'{name}' must be [smallest, largest], not [{low}, {high}]")
        return self


class Finish(Params):
    """What is done, last and without chance, to every image that is encoded, reconstructed or measured."""

    threshold: float | None = Field(None, ge=0, lt=1)
    "Pixels above it become 1, the others 0. Source: 0.5 for MNIST in the paper's release."


class ViewSettings(Params):
    """How a view is drawn from an image. Each view of each image has draws of its own."""

    crop: Crop | None = None
    "Random resized crop; none if empty."
    horizontal_flip: Probability = 0.0
    "Probability of mirroring left and right."
    vertical_flip: Probability = 0.0
    "Probability of mirroring top and bottom."
    finish: Finish = Finish()
    "Applied to every view, and to every image that is encoded, reconstructed or measured."


class Optimizer(Params):
    """The optimiser."""

    name: Literal["adam"] = "adam"
    "Adam (Kingma & Ba 2015)."
    lr: float = Field(1e-3, gt=0)
    "Learning rate (its largest, with a schedule)."
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    "Decay of the moving averages of the gradient and of its square."
    eps: float = Field(1e-8, gt=0)
    "Added to the denominator. The paper's release has 1e-4."
    weight_decay: float = Field(0.0, ge=0)
    "L2 penalty, added to the gradient."


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
    precision: Literal["float32", "bfloat16"] = "float32"
    "Of the networks: float32, or bfloat16 under autocast. Losses are computed in float32."
    optimizer: Optimizer = Optimizer()
    "The optimiser; an objective may set parts of it for some of its parameters."
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

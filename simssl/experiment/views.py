"""The section `views`: how a view is drawn from an image."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import Field, model_validator

from simssl.experiment.numbers import Fraction, NotNegative, Positive, Probability
from simssl.params import Params, added

Steps = TypeVar("Steps", bound="Operations")


def _check_order(params: Params, *names: str) -> None:
    for name in names:
        low, high = getattr(params, name)
        if low > high:
            raise ValueError(f"'{name}' must be [smallest, largest], not [{low}, {high}]")


class Crop(Params):
    """A random resized crop, distributed as torchvision's RandomResizedCrop."""

    scale: tuple[Fraction, Fraction] = (0.08, 1.0)
    "Smallest and largest area of the crop, as a fraction of the image's."
    ratio: tuple[Positive, Positive] = (0.75, 1.3333)
    "Smallest and largest ratio of width to height."

    @model_validator(mode="after")
    def _ordered(self) -> Crop:
        _check_order(self, "scale", "ratio")
        return self


class Jitter(Params):
    """Colour jitter, distributed as torchvision's ColorJitter: four operations in an order drawn for each view.

    The paper's release has 0.8, 0.8, 0.8 and hue 0.2, always applied; SimCLR (Chen et al. 2020, appendix A) the
    same with probability 0.8.
    """

    brightness: NotNegative = 0.0
    "Brightness is multiplied by a factor from [max(0, 1 - brightness), 1 + brightness]. 0: it stays."
    contrast: NotNegative = 0.0
    "The distance to the view's mean grey is multiplied by such a factor. 0: it stays."
    saturation: NotNegative = 0.0
    "The distance to the pixel's own grey is multiplied by such a factor. 0: it stays."
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    "The hue is turned by a fraction of its circle from [-hue, hue]. 0: it stays."
    probability: Probability = 1.0
    "Probability that a view is jittered. Source: 1 in the paper's release, 0.8 in SimCLR."

    @model_validator(mode="after")
    def _changes_something(self) -> Jitter:
        if not (self.brightness or self.contrast or self.saturation or self.hue):
            raise ValueError("'jitter' changes nothing; give brightness, contrast, saturation or hue")
        return self


class Blur(Params):
    """Gaussian blur, distributed as torchvision's GaussianBlur. Source: SimCLR (Chen et al. 2020, appendix A)."""

    sigma: tuple[Positive, Positive] = (0.1, 2.0)
    "Smallest and largest standard deviation, in pixels of the view. Source: SimCLR."
    kernel: int | None = Field(None, ge=3)
    "Pixels of the kernel's side, an odd number. SimCLR's, a tenth of the view's height, if empty."
    probability: Probability = 0.5
    "Probability that a view is blurred. Source: SimCLR."

    @model_validator(mode="after")
    def _fits(self) -> Blur:
        _check_order(self, "sigma")
        if self.kernel is not None and self.kernel % 2 == 0:
            raise ValueError(f"'kernel' must be odd, not {self.kernel}")
        return self


class Finish(Params):
    """The last step, without chance, of every image that is encoded, reconstructed or measured."""

    threshold: float | None = Field(None, ge=0, lt=1)
    "Pixels above it become 1, the others 0. Source: 0.5 for MNIST in the paper's release."


class Solarize(Params):
    """Inverts the bright pixels, as torchvision's RandomSolarize. Source: BYOL (Grill et al. 2020, appendix B)."""

    threshold: Fraction = 0.5
    "Values of a pixel from here on are inverted, where 0 is black and 1 is white. Source: BYOL, 128 of 256."
    probability: Probability = 0.2
    "Probability that a view is solarised. Source: BYOL's second view."


class Operations(Params):
    """The steps that draw a view from an image: crop, flips, jitter, grey, blur, solarize, in this order.

    Each view of each image has draws of its own.
    """

    crop: Crop | None = None
    "Random resized crop; none if empty."
    horizontal_flip: Probability = 0.0
    "Probability of mirroring left and right."
    vertical_flip: Probability = 0.0
    "Probability of mirroring top and bottom."
    jitter: Jitter | None = None
    "Colour jitter; none if empty."
    grey: Probability = 0.0
    "Probability of losing the colours. Source: 0.2 in SimCLR; the paper's release has none."
    blur: Blur | None = None
    "Gaussian blur; none if empty, as in the paper's release."
    solarize: Solarize | None = None
    "Inversion of bright pixels; none if empty."


class SmallViews(Operations):
    """Small views, beside the others, of methods that ask for some: multi-crop (Caron et al. 2020).

    A step that is left out here is that of the section `views`.
    """

    size: int = Field(ge=1, examples=[16])
    "Side of the small views, in pixels. It is less than that of the others."


class _Size(Params):
    """The first key of the section `views`, before the steps: runs are written down in this order."""

    size: int | None = Field(None, ge=1)
    """Side of the square views, in pixels, and of every image that is encoded, reconstructed or measured; as the
    images are if empty. What is larger is shrunk with antialias."""


class ViewSettings(Operations, _Size):
    """The steps that draw a view from an image: crop, flips, jitter, grey, blur, solarize, finish, in this order.

    Each view of each image has draws of its own.
    """

    solarize: Solarize | None = added(None)
    "Inversion of bright pixels; none if empty."
    finish: Finish = Finish()
    "Applied to every view, and to every image that is encoded, reconstructed or measured."
    each: tuple[Operations, ...] | None = added(None, min_length=1)
    """What differs between the views of a method: one mapping for each of its random views, in their order. A step that
    is left out there is that of the section. All views are alike if empty. Evaluators draw views by the section."""
    small: SmallViews | None = added(None)
    "Small views, for methods that ask for some; none if empty."

    @model_validator(mode="after")
    def _filled(self) -> ViewSettings:
        """The settings, with the section's steps where `each` and `small` leave them out."""
        filled: dict[str, Any] = {}
        if self.each is not None:
            filled["each"] = tuple(map(self._with_own_steps, self.each))
        if self.small is not None:
            filled["small"] = self._with_own_steps(self.small)
        vars(self).update(filled)  # frozen from here on
        return self

    def of(self, operations: Operations) -> ViewSettings:
        """The settings of views that are all drawn by these steps: those of `small`, or an entry of `each`."""
        return self.model_copy(update={**dict(operations), "each": None, "small": None})

    def _with_own_steps(self, operations: Steps) -> Steps:
        missing = Operations.model_fields.keys() - operations.model_fields_set
        return operations.model_copy(update={name: getattr(self, name) for name in missing})

"""The operations that the settings ask for, in their order, and what they ask of the images."""

from __future__ import annotations

from simssl.api import Shape
from simssl.errors import UserError
from simssl.experiment import settings
from simssl.experiment.settings import ViewSettings
from simssl.training.views.blur import Blur
from simssl.training.views.colour import Grey, Jitter, Solarize
from simssl.training.views.geometry import Geometry
from simssl.training.views.operation import Operation


def operations_of(views: ViewSettings, source: Shape, target: Shape, section: str) -> list[Operation]:
    """The operations that the settings ask for, in the order in which they are done."""
    operations: list[Operation] = []
    if views.crop or views.horizontal_flip or views.vertical_flip or source != target:
        geometry = Geometry(views, source[1:], target[1:])
        operations.append(geometry)
    if views.jitter:
        operations.append(Jitter(views.jitter))
    if views.grey:
        operations.append(Grey(views.grey))
    if views.blur:
        kernel = _kernel(views.blur, *target[1:], section)
        operations.append(Blur(views.blur, kernel))
    if views.solarize:
        operations.append(Solarize(views.solarize))
    return operations


def check_channels(views: ViewSettings, channels: int, section: str) -> None:
    """UserError if an operation on colours meets images that have none."""
    jitter = views.jitter
    of_colour = []
    if jitter and jitter.saturation:
        of_colour.append(f"{section}.jitter.saturation")
    if jitter and jitter.hue:
        of_colour.append(f"{section}.jitter.hue")
    if views.grey:
        of_colour.append(f"{section}.grey")
    if of_colour and channels != 3:
        first = of_colour[0]
        raise UserError(f"{first} is for images of 3 colours, and these have {channels} channel(s); leave it out")
    if jitter and channels not in (1, 3):
        raise UserError(f"{section}.jitter is for images of 1 or 3 channels, and these have {channels}; leave it out")


def _kernel(blur: settings.Blur, height: int, width: int, section: str) -> int:
    """The side of the blur's kernel, from the settings; without one, SimCLR's tenth of the height, made odd."""
    tenth = height // 10
    kernel = blur.kernel or 2 * (tenth // 2) + 1
    if kernel == 1:
        raise UserError(f"{section}.blur.kernel is missing: a tenth of views of {height} pixels is too small for one")
    if kernel // 2 >= min(height, width):
        raise UserError(f"{section}.blur.kernel is {kernel}, too large for views of {height} x {width} pixels")
    return kernel

"""The pixels that a view is made of: random resized crop, flips, and the size of the view.

The crop is distributed as torchvision's RandomResizedCrop, and equals it, antialiased, on the same parameters.
M counts views: B images, J views each. A counts the attempts at a crop. What has an entry for each of the two axes has
that of the rows first.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simssl.experiment.settings import Crop, ViewSettings
from simssl.training.views.operation import Constant, Draws, Ranges, happens
from simssl.training.views.resample import Boxes, resample, resize

ATTEMPTS = 10
"""Attempts of RandomResizedCrop at a crop that fits into the image."""

CROP = ("top", "left", "height", "width")
"""What a crop is drawn as."""

FLIPS = ("vertical_flip", "horizontal_flip")
"""The flips of the rows and of the columns."""


class Geometry:
    """Draws the crop and the flips that the settings have.

    The crop (M, 4) is top, left, height and width in pixels of the image, whole numbers in float32. The flips are
    horizontal_flip and vertical_flip (bool).
    """

    def __init__(
        self,
        settings: ViewSettings,
        source: tuple[int, int],
        target: tuple[int, int],
    ) -> None:
        self.flips: dict[str, float] = {}
        for name in ("horizontal_flip", "vertical_flip"):
            probability = getattr(settings, name)
            if probability > 0:
                self.flips[name] = probability
        self.source = source
        self.target = target
        self.crops = Crops(settings.crop, source) if settings.crop else None
        vertical, horizontal = (name in self.flips for name in FLIPS)
        self.boxes = Boxes(source, target, (vertical, horizontal))
        varied_flips = [name for name, probability in self.flips.items() if probability < 1]
        self.random = self.crops is not None or bool(varied_flips)

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        draws: Draws = {}
        if self.crops:
            draws["crop"] = self.crops.draw(count, generator)
        for name, probability in self.flips.items():
            draws[name] = happens(probability, count, generator)
        return draws

    def prepare(self, draws: Draws) -> Draws:
        if not self.crops and not self.flips:
            return {}
        flips = [draws[name] for name in FLIPS if name in draws]
        box_4M = draws["crop"].T if self.crops else self.boxes.whole(flips[0])
        return self.boxes.samples(box_4M, flips)

    def apply(self, x_MCHW: Tensor, prepared: Draws) -> Tensor:
        """Crop, resize and flip, in one interpolation."""
        if prepared:
            return resample(x_MCHW, prepared)
        return resize(x_MCHW, self.target)

    def style(self, draws: Draws) -> Draws:
        """The crop's centre and size as fractions of the image, and the flips (0 or 1).

        The centre is in the coordinates of the view as seen: mirrored with a flip.
        """
        style: Draws = {}
        if "crop" in draws:
            crop = dict(zip(CROP, draws["crop"].unbind(1), strict=True))
            height, width = self.source
            style |= _style(crop, "y", "top", "height", draws.get("vertical_flip"), height)
            style |= _style(crop, "x", "left", "width", draws.get("horizontal_flip"), width)
        for name in self.flips:
            style[name] = draws[name].float()
        return style


def _style(crop: Draws, axis: str, start: str, size: str, flipped_M: Tensor | None, length: int) -> Draws:
    """The crop's centre and size along one axis, as fractions of the image's length there."""
    centre_M = (crop[start] + crop[size] / 2) / length
    if flipped_M is not None:
        centre_M = torch.where(flipped_M, 1 - centre_M, centre_M)
    return {
        f"crop_centre_{axis}": centre_M,
        f"crop_{size}": crop[size] / length,
    }


class Crops:
    """Random crops of images of one size."""

    def __init__(self, crop: Crop, source: tuple[int, int]) -> None:
        height, width = source
        self.area = height * width
        lowest, highest = crop.ratio
        log_ratios = (math.log(lowest), math.log(highest))
        self.ranges = Ranges((crop.scale, log_ratios), (2, 1, 1))
        longest_211 = torch.tensor([float(height), float(width)]).view(2, 1, 1)
        self.longest_211 = Constant(longest_211)
        self.shortest_211 = Constant(torch.ones(2, 1, 1))
        self.starts_21 = Constant(longest_211[..., 0] + 1)
        self.central_41 = Constant(torch.tensor(_central_crop(source, crop.ratio)).view(4, 1))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Top, left, height and width (M, 4) of `count` crops."""
        u_MA2 = torch.rand(count, ATTEMPTS, 2, generator=generator, device=generator.device)
        size_2MA = self._sizes(u_MA2)
        fits_2MA = size_2MA.clamp(self.shortest_211.beside(u_MA2), self.longest_211.beside(u_MA2)) == size_2MA
        any_M1, first_M1 = (fits_2MA[0] & fits_2MA[1]).max(1, keepdim=True)
        box_22M = torch.empty(2, 2, count, device=u_MA2.device)
        start_2M, size_2M = box_22M
        torch.gather(size_2MA, 2, first_M1.expand(2, count, 1), out=size_2M[..., None])

        # u is below 1, so that a product with a whole number, rounded, is below this number
        u_M2 = torch.rand(count, 2, generator=generator, device=generator.device)
        starts_2M = self.starts_21.beside(u_M2) - size_2M
        torch.floor(starts_2M.mul_(u_M2.T), out=start_2M)
        box_4M = torch.where(any_M1.T, box_22M.view(4, count), self.central_41.beside(u_M2))
        return box_4M.T

    def _sizes(self, u_MA2: Tensor) -> Tensor:
        """Heights and widths (2, M, A) of all attempts, in pixels."""
        drawn_2MA = torch.empty(2, *u_MA2.shape[:2], device=u_MA2.device)
        area_MA, ratio_MA = self.ranges.between(u_MA2.movedim(-1, 0), out=drawn_2MA)
        area_MA.mul_(self.area)
        ratio_MA.exp_()
        size_2MA = torch.empty_like(drawn_2MA)
        torch.div(area_MA, ratio_MA, out=size_2MA[0])
        torch.mul(area_MA, ratio_MA, out=size_2MA[1])
        return size_2MA.sqrt_().round_()


def _central_crop(source: tuple[int, int], ratio: tuple[float, float]) -> tuple[float, float, float, float]:
    """Top, left, height and width of the largest allowed crop: RandomResizedCrop's if no attempt fits."""
    height, width = source
    lowest, highest = ratio
    whole = width / height
    if whole < lowest:
        height = round(width / lowest)
    elif whole > highest:
        width = round(height * highest)
    top = (source[0] - height) // 2
    left = (source[1] - width) // 2
    return float(top), float(left), float(height), float(width)

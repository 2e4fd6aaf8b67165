"""The pixels that a view is made of: random resized crop, flips, and the size of the view.

The crop is distributed as torchvision's RandomResizedCrop, and equals it, antialiased, on the same parameters.
M counts views: B images, J views each. A counts the attempts at a crop.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simssl.experiment.settings import Crop, ViewSettings
from simssl.training.views.operation import Draws, between, happens
from simssl.training.views.resample import Axis, resample, resize, samples

ATTEMPTS = 10
"""Attempts of RandomResizedCrop at a crop that fits into the image."""


class Geometry:
    """Draws the crop and the flips that the settings have.

    The crop is crop_top, crop_left, crop_height and crop_width in pixels of the image (int64). The flips are
    horizontal_flip and vertical_flip (bool).
    """

    def __init__(
        self,
        settings: ViewSettings,
        source: tuple[int, int],
        target: tuple[int, int],
    ) -> None:
        self.crop = settings.crop
        self.flips: dict[str, float] = {}
        for name in ("horizontal_flip", "vertical_flip"):
            probability = getattr(settings, name)
            if probability > 0:
                self.flips[name] = probability
        self.height, self.width = source
        self.target = target
        varied_flips = [name for name, probability in self.flips.items() if probability < 1]
        self.random = self.crop is not None or bool(varied_flips)

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        draws: Draws = {}
        if self.crop:
            draws |= self._draw_crop(self.crop, count, generator)
        for name, probability in self.flips.items():
            draws[name] = happens(probability, count, generator)
        return draws

    def _draw_crop(self, crop: Crop, count: int, generator: torch.Generator) -> Draws:
        device = generator.device
        area = self.height * self.width
        lowest, highest = crop.ratio
        log_ratios = (math.log(lowest), math.log(highest))
        u_MA2 = torch.rand(count, ATTEMPTS, 2, generator=generator, device=device)
        area_MA = area * between(crop.scale, u_MA2[..., 0])
        ratio_MA = between(log_ratios, u_MA2[..., 1]).exp()
        width_MA = (area_MA * ratio_MA).sqrt().round().long()
        height_MA = (area_MA / ratio_MA).sqrt().round().long()
        fits_MA = (width_MA > 0) & (width_MA <= self.width)
        fits_MA = fits_MA & (height_MA > 0) & (height_MA <= self.height)

        first_M1 = fits_MA.to(torch.uint8).argmax(1, keepdim=True)
        any_M = fits_MA.any(1)
        fallback_height, fallback_width = self._central_crop(crop.ratio)
        height_M = height_MA.gather(1, first_M1)[:, 0]
        height_M = torch.where(any_M, height_M, fallback_height)
        width_M = width_MA.gather(1, first_M1)[:, 0]
        width_M = torch.where(any_M, width_M, fallback_width)

        u_M2 = torch.rand(count, 2, generator=generator, device=device)
        free_height_M = self.height - height_M
        free_width_M = self.width - width_M
        top_M = _integer_up_to(free_height_M, u_M2[:, 0])
        top_M = torch.where(any_M, top_M, free_height_M // 2)
        left_M = _integer_up_to(free_width_M, u_M2[:, 1])
        left_M = torch.where(any_M, left_M, free_width_M // 2)
        return {
            "crop_top": top_M,
            "crop_left": left_M,
            "crop_height": height_M,
            "crop_width": width_M,
        }

    def _central_crop(self, ratio: tuple[float, float]) -> tuple[int, int]:
        """Height and width of the largest allowed crop, which RandomResizedCrop takes if no attempt fits."""
        lowest, highest = ratio
        whole = self.width / self.height
        if whole < lowest:
            return round(self.width / lowest), self.width
        if whole > highest:
            return self.height, round(self.height * highest)
        return self.height, self.width

    def prepare(self, draws: Draws) -> Draws:
        if not self.crop and not self.flips:
            return {}
        drawn = "crop_top" if self.crop else next(iter(self.flips))
        zero_M = torch.zeros_like(draws[drawn], dtype=torch.float32)

        def axis(source: int, target: int, start: str, size: str, flip: str) -> Axis:
            start_M = draws.get(start, zero_M)
            size_M = draws.get(size, zero_M + source)
            mirrored_M = draws.get(flip)
            return Axis(source, target, start_M, size_M, mirrored_M)

        target_height, target_width = self.target
        rows = axis(self.height, target_height, "crop_top", "crop_height", "vertical_flip")
        columns = axis(self.width, target_width, "crop_left", "crop_width", "horizontal_flip")
        return samples(rows, columns)

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
        if "crop_top" in draws:
            style |= _crop_style(draws, "y", "top", "height", "vertical_flip", self.height)
            style |= _crop_style(draws, "x", "left", "width", "horizontal_flip", self.width)
        for name in self.flips:
            style[name] = draws[name].float()
        return style


def _crop_style(draws: Draws, axis: str, start: str, size: str, flip: str, length: int) -> Draws:
    """The crop's centre and size along one axis, as fractions of the image's length there."""
    start_M = draws[f"crop_{start}"]
    size_M = draws[f"crop_{size}"]
    centre_M = (start_M + size_M / 2) / length
    unflipped_M = torch.zeros_like(centre_M, dtype=torch.bool)
    flipped_M = draws.get(flip, unflipped_M)
    return {
        f"crop_centre_{axis}": torch.where(flipped_M, 1 - centre_M, centre_M),
        f"crop_{size}": size_M.float() / length,
    }


def _integer_up_to(most_M: Tensor, u_M: Tensor) -> Tensor:
    """An integer from 0 to `most`, uniform where u is uniform on [0, 1)."""
    integer_M = (u_M * (most_M + 1)).long()
    return torch.minimum(integer_M, most_M)

"""Where the pixels of a view come from: random resized crop, flips, and the size of the view.

The crop is distributed as torchvision's RandomResizedCrop, and equals it, antialiased, on the same parameters.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simssl.experiment.settings import Crop, ViewSettings
from simssl.training.views.operation import Draws, between, happens
from simssl.training.views.resample import Axis, resample, resize, samples

ATTEMPTS = 10
"""Of RandomResizedCrop, to find a crop that fits into the image."""


class Geometry:
    """Draws crop_top, crop_left, crop_height and crop_width in pixels of the image (int64), and horizontal_flip and
    vertical_flip (bool), as far as the settings have them."""

    def __init__(self, settings: ViewSettings, source: tuple[int, int], target: tuple[int, int]) -> None:
        self.crop = settings.crop
        flips = {name: getattr(settings, name) for name in ("horizontal_flip", "vertical_flip")}
        self.flips = {name: probability for name, probability in flips.items() if probability > 0}
        (self.height, self.width), self.target = source, target
        self.random = self.crop is not None or any(p < 1 for p in self.flips.values())

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        draws = self._draw_crop(self.crop, count, generator) if self.crop else {}
        return draws | {name: happens(p, count, generator) for name, p in self.flips.items()}

    def _draw_crop(self, crop: Crop, count: int, generator: torch.Generator) -> Draws:
        device = generator.device
        u_MA2 = torch.rand(count, ATTEMPTS, 2, generator=generator, device=device)
        area_MA = (self.height * self.width) * between(crop.scale, u_MA2[..., 0])
        ratio_MA = between((math.log(crop.ratio[0]), math.log(crop.ratio[1])), u_MA2[..., 1]).exp()
        width_MA = (area_MA * ratio_MA).sqrt().round().long()
        height_MA = (area_MA / ratio_MA).sqrt().round().long()
        fits_MA = (width_MA > 0) & (width_MA <= self.width) & (height_MA > 0) & (height_MA <= self.height)
        first_M1 = fits_MA.to(torch.uint8).argmax(1, keepdim=True)
        any_M = fits_MA.any(1)
        fallback_height, fallback_width = self._central_crop(crop.ratio)
        height_M = torch.where(any_M, height_MA.gather(1, first_M1)[:, 0], fallback_height)
        width_M = torch.where(any_M, width_MA.gather(1, first_M1)[:, 0], fallback_width)
        u_M2 = torch.rand(count, 2, generator=generator, device=device)
        free_height_M, free_width_M = self.height - height_M, self.width - width_M
        top_M = torch.where(any_M, _integer_up_to(free_height_M, u_M2[:, 0]), free_height_M // 2)
        left_M = torch.where(any_M, _integer_up_to(free_width_M, u_M2[:, 1]), free_width_M // 2)
        return {"crop_top": top_M, "crop_left": left_M, "crop_height": height_M, "crop_width": width_M}

    def _central_crop(self, ratio: tuple[float, float]) -> tuple[int, int]:
        """What RandomResizedCrop takes if no attempt fits: height and width of the largest allowed crop."""
        whole = self.width / self.height
        if whole < ratio[0]:
            return round(self.width / ratio[0]), self.width
        if whole > ratio[1]:
            return self.height, round(self.height * ratio[1])
        return self.height, self.width

    def prepare(self, draws: Draws) -> Draws:
        if not self.crop and not self.flips:
            return {}
        zero_M = torch.zeros_like(draws["crop_top" if self.crop else next(iter(self.flips))], dtype=torch.float32)

        def axis(source: int, target: int, start: str, size: str, flip: str) -> Axis:
            return Axis(source, target, draws.get(start, zero_M), draws.get(size, zero_M + source), draws.get(flip))

        rows = axis(self.height, self.target[0], "crop_top", "crop_height", "vertical_flip")
        columns = axis(self.width, self.target[1], "crop_left", "crop_width", "horizontal_flip")
        return samples(rows, columns)

    def apply(self, x_MCHW: Tensor, prepared: Draws) -> Tensor:
        """Crop, resize and flip, in one interpolation."""
        return resample(x_MCHW, prepared) if prepared else resize(x_MCHW, self.target)

    def style(self, draws: Draws) -> Draws:
        """The crop's centre and size as fractions of the image, in the coordinates of the view as seen (mirrored
        with a flip), and the flips (0 or 1)."""
        style = {}
        if "crop_top" in draws:
            axes = (("y", "top", "height", "vertical"), ("x", "left", "width", "horizontal"))
            for axis, start, size, flip in axes:
                length = getattr(self, size)
                centre_M = (draws[f"crop_{start}"] + draws[f"crop_{size}"] / 2) / length
                flipped_M = draws.get(f"{flip}_flip", torch.zeros_like(centre_M, dtype=torch.bool))
                style[f"crop_centre_{axis}"] = torch.where(flipped_M, 1 - centre_M, centre_M)
                style[f"crop_{size}"] = draws[f"crop_{size}"].float() / length
        return style | {name: draws[name].float() for name in self.flips}


def _integer_up_to(most_M: Tensor, u_M: Tensor) -> Tensor:
    """An integer from 0 to `most`, uniform where u is uniform on [0, 1)."""
    return torch.minimum((u_M * (most_M + 1)).long(), most_M)

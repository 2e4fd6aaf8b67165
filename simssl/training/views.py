"""Random views of a batch, drawn and applied on the device: each view of each image has its own draws.

The crop is distributed as torchvision's RandomResizedCrop, and equals it on the same parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from simssl.experiment.settings import Crop, ViewSettings

Draws = dict[str, Tensor]
"""The drawn parameters (M,) of M views: crop_top, crop_left, crop_height and crop_width in pixels (int64),
horizontal_flip and vertical_flip (bool)."""

ATTEMPTS = 10
"""Of RandomResizedCrop, to find a crop that fits into the image."""


class Views:
    """The views of an experiment, for images of one shape."""

    def __init__(self, settings: ViewSettings, image_shape: tuple[int, int, int]) -> None:
        self.settings = settings
        _, self.height, self.width = image_shape

    @property
    def random(self) -> bool:
        """Whether two views of an image can differ."""
        return self.settings.crop is not None or any(0 < p < 1 for p in self._flips.values())

    @property
    def _flips(self) -> dict[str, float]:
        return {name: getattr(self.settings, name) for name in ("horizontal_flip", "vertical_flip")}

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """The parameters of `count` views, on the generator's device."""
        draws = self._draw_crop(self.settings.crop, count, generator) if self.settings.crop else {}
        for name, probability in self._flips.items():
            if probability > 0:
                draws[name] = torch.rand(count, generator=generator, device=generator.device) < probability
        return draws

    def _draw_crop(self, crop: Crop, count: int, generator: torch.Generator) -> Draws:
        device = generator.device
        u_MA2 = torch.rand(count, ATTEMPTS, 2, generator=generator, device=device)
        area_MA = (self.height * self.width) * _between(crop.scale, u_MA2[..., 0])
        ratio_MA = _between((math.log(crop.ratio[0]), math.log(crop.ratio[1])), u_MA2[..., 1]).exp()
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

    def apply(self, images_MCHW: Tensor, draws: Draws) -> Tensor:
        """The views (M, C, H, W) in [0, 1] of uint8 images, one by one, as drawn."""
        x_MCHW = images_MCHW.float().div_(255)
        if draws:
            x_MCHW = self._resample(x_MCHW, draws)
        return self._finish(x_MCHW)

    def _resample(self, x_MCHW: Tensor, draws: Draws) -> Tensor:
        """Crop, resize bilinearly and flip, in one interpolation."""
        y_MH = _source(self.height, len(x_MCHW), draws, "crop_top", "crop_height", "vertical_flip", x_MCHW.device)
        x_MW = _source(self.width, len(x_MCHW), draws, "crop_left", "crop_width", "horizontal_flip", x_MCHW.device)
        grid_MHW2 = torch.stack(torch.broadcast_tensors(x_MW[:, None, :], y_MH[:, :, None]), dim=-1)
        return F.grid_sample(x_MCHW, grid_MHW2, mode="bilinear", padding_mode="border", align_corners=True)

    def _finish(self, x: Tensor) -> Tensor:
        threshold = self.settings.finish.threshold
        return x if threshold is None else (x > threshold).to(x.dtype)

    def plain(self, images_MCHW: Tensor) -> Tensor:
        """Un-augmented images (M, C, H, W) in [0, 1], finished."""
        return self._finish(images_MCHW.float().div_(255))

    def plain_batches(self, images_NCHW: Tensor, device: torch.device, size: int = 1000) -> Iterator[Tensor]:
        """Un-augmented images in [0, 1], finished, batch by batch on the device."""
        return (self.plain(images_BCHW.to(device)) for images_BCHW in images_NCHW.split(size))

    def batch(self, images_BCHW: Tensor, kinds: Sequence[str], generator: torch.Generator) -> Tensor:
        """The views (B, J, C, H, W) of uint8 images; `kinds` says which of the J are "random" or "plain"."""
        x_BRCHW = self.random_views(images_BCHW, kinds.count("random"), generator)[0]
        if "plain" not in kinds:
            return x_BRCHW
        plain_BCHW, random = self.plain(images_BCHW), iter(x_BRCHW.unbind(1))
        return torch.stack([next(random) if kind == "random" else plain_BCHW for kind in kinds], dim=1)

    def random_views(self, images_BCHW: Tensor, J: int, generator: torch.Generator) -> tuple[Tensor, Draws]:
        """J random views (B, J, C, H, W) of each uint8 image, and their parameters, each (B * J,)."""
        draws = self.draw(len(images_BCHW) * J, generator)
        x_MCHW = self.apply(images_BCHW.repeat_interleave(J, dim=0), draws)
        return x_MCHW.unflatten(0, (len(images_BCHW), J)), draws

    def style(self, draws: Draws) -> dict[str, Tensor]:
        """What an observer could read off the views (M,), float32: the crop's centre and size as fractions of
        the image, in the coordinates of the view as seen (mirrored with a flip), and the flips (0 or 1)."""
        style = {}
        if "crop_top" in draws:
            axes = (("y", "top", "height", "vertical"), ("x", "left", "width", "horizontal"))
            for axis, start, size, flip in axes:
                length = getattr(self, size)
                centre_M = (draws[f"crop_{start}"] + draws[f"crop_{size}"] / 2) / length
                flipped_M = draws.get(f"{flip}_flip", torch.zeros_like(centre_M, dtype=torch.bool))
                style[f"crop_centre_{axis}"] = torch.where(flipped_M, 1 - centre_M, centre_M)
                style[f"crop_{size}"] = draws[f"crop_{size}"].float() / length
        return style | {name: draws[name].float() for name in self._flips if name in draws}


def _between(limits: tuple[float, float], u: Tensor) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * u


def _integer_up_to(most_M: Tensor, u_M: Tensor) -> Tensor:
    """An integer from 0 to `most`, uniform where u is uniform on [0, 1)."""
    return torch.minimum((u_M * (most_M + 1)).long(), most_M)


def _source(length: int, count: int, draws: Draws, start: str, size: str, flip: str, device: torch.device) -> Tensor:
    """Where each pixel of a view is taken from along one axis (M, length), in grid_sample's [-1, 1].

    Half-pixel centres, clamped to the crop, as `interpolate(align_corners=False)` on the cropped image.
    """
    start_M = draws.get(start, torch.zeros(count, device=device))
    size_M = draws.get(size, torch.full((count,), length, device=device))
    centre = torch.arange(length, device=device) + 0.5
    if flip in draws:
        centre = torch.where(draws[flip][:, None], length - centre, centre)
    within = centre * (size_M / length)[:, None] - 0.5
    pixel_M = start_M[:, None] + within.clamp(min=0).minimum((size_M - 1)[:, None])
    return pixel_M * (2 / max(length - 1, 1)) - 1

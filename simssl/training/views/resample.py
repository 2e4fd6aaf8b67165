"""Cut a box of its own out of each image, mirror it or not, and resize it bilinearly, antialiased where it shrinks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """One axis of M boxes, in images of `source` pixels and views of `target` pixels along it."""

    source: int
    target: int
    start_M: Tensor
    size_M: Tensor
    """First pixel and length of the box, in pixels of the image."""
    mirrored_M: Tensor | None

    def centres(self) -> Tensor:
        """Where in the image the centres of the view's T pixels lie (M, T); its first pixel's own lies at 0.5."""
        step_T = torch.arange(self.target, device=self.start_M.device) + 0.5
        if self.mirrored_M is not None:
            step_T = torch.where(self.mirrored_M[:, None], self.target - step_T, step_T)
        return self.start_M[:, None] + step_T * (self.size_M / self.target)[:, None]

    def between(self) -> Tensor:
        """Where the pixels of views that do not shrink lie (M, T), from -1, the image's start, to 1, its end.

        No nearer to the box's borders than the centres of its outermost pixels, so that none outside it is mixed in.
        """
        first_M1 = self.start_M[:, None] + 0.5
        centre_MT = self.centres().clamp(first_M1, first_M1 + (self.size_M[:, None] - 1))
        return centre_MT.mul_(2 / self.source).sub_(1)

    def weights(self) -> tuple[Tensor, Tensor]:
        """The K pixels of the image that each pixel of the view is a mean of (M, T, K), and their weights.

        A triangle around the centre that reaches one pixel of the view to each side, but at least one of the image;
        cut off at the box and normalised.
        """
        centre_MT1 = self.centres()[..., None]
        reach_M11 = (self.size_M / self.target).clamp(min=1)[:, None, None]
        taps_K = torch.arange(math.ceil(2 * max(1.0, self.source / self.target)), device=self.start_M.device)
        pixel_MTK = (centre_MT1 - reach_M11 + 0.5).floor() + taps_K
        triangle_MTK = (1 - (pixel_MTK + 0.5 - centre_MT1).abs() / reach_M11).clamp(min=0)
        start_M11, end_M11 = self.start_M[:, None, None], (self.start_M + self.size_M)[:, None, None]
        weight_MTK = triangle_MTK * ((pixel_MTK >= start_M11) & (pixel_MTK < end_M11))
        weight_MTK = weight_MTK / weight_MTK.sum(-1, keepdim=True)
        return pixel_MTK.clamp(0, self.source - 1).long(), weight_MTK


def samples(rows: Axis, columns: Axis) -> dict[str, Tensor]:
    """From where in the images `resample` takes the pixels of M views, each (M, ...)."""
    if rows.source <= rows.target and columns.source <= columns.target:
        return {"rows": rows.between(), "columns": columns.between()}
    row_pixels, row_weights = rows.weights()
    column_pixels, column_weights = columns.weights()
    return {
        "row_pixels": row_pixels,
        "row_weights": row_weights,
        "column_pixels": column_pixels,
        "column_weights": column_weights,
    }


def resample(x_MCHW: Tensor, samples: dict[str, Tensor]) -> Tensor:
    """The boxes as views, equal to torchvision's resized_crop with antialias."""
    if "rows" in samples:
        grid_MHW = torch.complex(samples["columns"][:, None, :], samples["rows"][:, :, None])
        return F.grid_sample(x_MCHW, torch.view_as_real(grid_MHW), align_corners=False)
    x_MCWT = _mix_rows(x_MCHW, samples["row_pixels"], samples["row_weights"]).transpose(-1, -2)
    x_MCTT = _mix_rows(x_MCWT, samples["column_pixels"], samples["column_weights"])
    return x_MCTT.transpose(-1, -2).contiguous()


def _mix_rows(x_MCSW: Tensor, pixel_MTK: Tensor, weight_MTK: Tensor) -> Tensor:
    """The weighted means of the images' rows (M, C, T, W), which lie in a table like the words of an embedding."""
    M, C, S, W = x_MCSW.shape
    _, T, K = pixel_MTK.shape
    first_MC11 = torch.arange(M * C, device=x_MCSW.device).view(M, C, 1, 1) * S
    row_MCTK = pixel_MTK[:, None] + first_MC11
    weight_MCTK = weight_MTK[:, None].expand_as(row_MCTK)
    table_RW = x_MCSW.reshape(M * C * S, W)
    mixed_QW = F.embedding_bag(
        row_MCTK.view(-1, K), table_RW, mode="sum", per_sample_weights=weight_MCTK.reshape(-1, K)
    )
    return mixed_QW.view(M, C, T, W)


def resize(x_MCHW: Tensor, target: tuple[int, int]) -> Tensor:
    """Whole images (M, C, *target), equal to torchvision's resize with antialias."""
    if x_MCHW.shape[-2:] == target:
        return x_MCHW
    return F.interpolate(x_MCHW, target, mode="bilinear", align_corners=False, antialias=True)

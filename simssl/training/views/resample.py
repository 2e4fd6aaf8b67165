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


def resample(x_MCHW: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """The boxes (M, C, rows.target, columns.target), equal to torchvision's resized_crop with antialias."""
    x_MCWT = _mix_rows(x_MCHW, rows).transpose(-1, -2)
    return _mix_rows(x_MCWT, columns).transpose(-1, -2).contiguous()


def _mix_rows(x_MCSW: Tensor, axis: Axis) -> Tensor:
    """The weighted means of the images' rows (M, C, T, W), which lie in a table like the words of an embedding."""
    M, C, S, W = x_MCSW.shape
    pixel_MTK, weight_MTK = axis.weights()
    first_MC11 = torch.arange(M * C, device=x_MCSW.device).view(M, C, 1, 1) * S
    row_MCTK = pixel_MTK[:, None] + first_MC11
    weight_MCTK = weight_MTK[:, None].expand_as(row_MCTK)
    table_RW, K = x_MCSW.reshape(M * C * S, W), pixel_MTK.shape[-1]
    mixed_QW = F.embedding_bag(
        row_MCTK.view(-1, K), table_RW, mode="sum", per_sample_weights=weight_MCTK.reshape(-1, K)
    )
    return mixed_QW.view(M, C, axis.target, W)


def resize(x_MCHW: Tensor, target: tuple[int, int]) -> Tensor:
    """Whole images (M, C, *target), equal to torchvision's resize with antialias."""
    if x_MCHW.shape[-2:] == target:
        return x_MCHW
    return F.interpolate(x_MCHW, target, mode="bilinear", align_corners=False, antialias=True)

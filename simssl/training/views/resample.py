"""Cut a box of its own out of each image, mirror it or not, and resize it bilinearly, antialiased where it shrinks.

M counts views: B images, J views each. T counts the pixels of a view along an axis, K the pixels of the image that each
of them is a mean of, and S the image's rows. All rows of all images and channels (M * C * S) are the R rows of a table;
Q counts the rows that are mixed of it (M * C * T).
"""

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
        """The positions in the image of the centres of the view's pixels (M, T). That of the first pixel is 0.5."""
        step_T = torch.arange(self.target, device=self.start_M.device) + 0.5
        if self.mirrored_M is not None:
            step_T = torch.where(self.mirrored_M[:, None], self.target - step_T, step_T)
        start_M1 = self.start_M[:, None]
        scale_M1 = (self.size_M / self.target)[:, None]
        return start_M1 + step_T * scale_M1

    def between(self) -> Tensor:
        """The positions of the pixels of views that do not shrink (M, T), from -1, the image's start, to 1, its end.

        None is nearer to the box's borders than the centres of its outermost pixels. So no pixel outside is mixed in.
        """
        first_M1 = self.start_M[:, None] + 0.5
        centre_MT = self.centres()
        last_M1 = first_M1 + (self.size_M[:, None] - 1)
        position_MT = centre_MT.clamp(first_M1, last_M1)
        position_MT.mul_(2 / self.source)
        position_MT.sub_(1)
        return position_MT

    def weights(self) -> tuple[Tensor, Tensor]:
        """The K pixels of the image that each pixel of the view is a mean of (M, T, K), and their weights.

        The weights are a triangle around the centre. It reaches one pixel of the view to each side, but at least one of
        the image. It is cut off at the box and normalised.
        """
        centre_MT1 = self.centres()[..., None]
        reach_M = (self.size_M / self.target).clamp(min=1)
        reach_M11 = reach_M[:, None, None]
        widest = max(1.0, self.source / self.target)
        taps_K = torch.arange(math.ceil(2 * widest), device=self.start_M.device)
        first_MT1 = (centre_MT1 - reach_M11 + 0.5).floor()
        pixel_MTK = first_MT1 + taps_K
        distance_MTK = (pixel_MTK + 0.5 - centre_MT1).abs()
        triangle_MTK = (1 - distance_MTK / reach_M11).clamp(min=0)
        start_M11 = self.start_M[:, None, None]
        end_M11 = (self.start_M + self.size_M)[:, None, None]
        inside_MTK = (pixel_MTK >= start_M11) & (pixel_MTK < end_M11)
        weight_MTK = triangle_MTK * inside_MTK
        weight_MTK = weight_MTK / weight_MTK.sum(-1, keepdim=True)
        index_MTK = pixel_MTK.clamp(0, self.source - 1).long()
        return index_MTK, weight_MTK


def samples(rows: Axis, columns: Axis) -> dict[str, Tensor]:
    """The positions in the images at which `resample` takes the pixels of M views, each (M, ...)."""
    if rows.source <= rows.target and columns.source <= columns.target:
        return {
            "rows": rows.between(),
            "columns": columns.between(),
        }
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
        column_M1W = samples["columns"][:, None, :]
        row_MH1 = samples["rows"][:, :, None]
        grid_MHW = torch.complex(column_M1W, row_MH1)
        return F.grid_sample(x_MCHW, torch.view_as_real(grid_MHW), align_corners=False)
    x_MCTW = _mix_rows(x_MCHW, samples["row_pixels"], samples["row_weights"])
    x_MCWT = x_MCTW.transpose(-1, -2)
    x_MCTT = _mix_rows(x_MCWT, samples["column_pixels"], samples["column_weights"])
    return x_MCTT.transpose(-1, -2).contiguous()


def _mix_rows(x_MCSW: Tensor, pixel_MTK: Tensor, weight_MTK: Tensor) -> Tensor:
    """The weighted means of the images' rows (M, C, T, W), which lie in a table like the words of an embedding."""
    M, C, S, W = x_MCSW.shape
    _, T, K = pixel_MTK.shape
    image_MC11 = torch.arange(M * C, device=x_MCSW.device).view(M, C, 1, 1)
    first_MC11 = image_MC11 * S
    row_MCTK = pixel_MTK[:, None] + first_MC11
    weight_MCTK = weight_MTK[:, None].expand_as(row_MCTK)
    table_RW = x_MCSW.reshape(M * C * S, W)
    row_QK = row_MCTK.view(-1, K)
    weight_QK = weight_MCTK.reshape(-1, K)
    mixed_QW = F.embedding_bag(row_QK, table_RW, mode="sum", per_sample_weights=weight_QK)
    return mixed_QW.view(M, C, T, W)


def resize(x_MCHW: Tensor, target: tuple[int, int]) -> Tensor:
    """Whole images (M, C, *target), equal to torchvision's resize with antialias."""
    if x_MCHW.shape[-2:] == target:
        return x_MCHW
    return F.interpolate(x_MCHW, target, mode="bilinear", align_corners=False, antialias=True)

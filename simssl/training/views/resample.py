"""Cut a box of its own out of each image, mirror it or not, and resize it bilinearly, antialiased where it shrinks.

M counts views: B images, J views each. T counts the pixels of a view along an axis, K the pixels of the image that each
of them is a mean of, and S the image's rows. All rows of all images and channels (M * C * S) are the R rows of a table;
Q counts the rows that are mixed of it (M * C * T).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from simssl.training.views.operation import Constant


class Boxes:
    """Boxes of their own in images of `source` (rows, columns), which become views of `target`.

    What has an entry for each of the two axes has that of the rows first. Both axes have T pixels, as many as the
    longer one; what goes beyond the end of the shorter one is left out at last.
    """

    def __init__(
        self,
        source: tuple[int, int],
        target: tuple[int, int],
        mirrored: tuple[bool, bool],
    ) -> None:
        self.source = source
        self.target = target
        self.shrinks = source[0] > target[0] or source[1] > target[1]
        self.taps = tuple(math.ceil(2 * max(1.0, source[axis] / target[axis])) for axis in range(2))
        """The pixels of the image, at most, that a pixel of the view is a mean of."""
        self._tap_K = Constant(torch.arange(max(self.taps)).float())
        step_T = torch.arange(max(target)) + 0.5
        self._step_T = Constant(step_T)
        """The centres of a view's pixels, from its first border, in pixels of the view."""
        mirrored_steps = []
        for length, is_mirrored in zip(target, mirrored, strict=True):
            mirrored_steps.append(length - step_T if is_mirrored else step_T)
        self._mirrored_step_21T = Constant(torch.stack(mirrored_steps)[:, None])
        height, width = source
        self._whole_41 = Constant(torch.tensor([0.0, 0.0, height, width]).view(4, 1))
        self._inwards_41 = Constant(torch.tensor([0.5, 0.5, -1.0, -1.0]).view(4, 1))
        self._unit_211 = Constant(torch.tensor([2 / height, 2 / width]).view(2, 1, 1))

    def whole(self, beside_M: Tensor) -> Tensor:
        """The boxes (4, M) of whole images, as many as the tensor's rows."""
        return self._whole_41.beside(beside_M).expand(-1, len(beside_M))

    def samples(self, box_4M: Tensor, flips: Sequence[Tensor]) -> dict[str, Tensor]:
        """The positions in the images at which `resample` takes the pixels of M views, each (M, ...).

        A box is its first row and column, and its height and width. `flips` are the bools (M,) of the mirrored axes.
        """
        scale_2M = self._scale(box_4M[2:])
        centre_2MT = self._centres(box_4M[:2], scale_2M, flips)
        if not self.shrinks:
            row_MT, column_MT = self._between(box_4M, centre_2MT)
            height, width = self.target
            return {
                "rows": row_MT[:, :height],
                "columns": column_MT[:, :width],
            }
        pixel_2MTK, weight_2MTK = self._weights(box_4M, centre_2MT, scale_2M)
        samples = {}
        for axis, name in enumerate(("row", "column")):
            own = (axis, slice(None), slice(self.target[axis]), slice(self.taps[axis]))
            weight_MTK = weight_2MTK[own]
            samples[f"{name}_pixels"] = pixel_2MTK[own].clamp(0, self.source[axis] - 1).long()
            samples[f"{name}_weights"] = weight_MTK / weight_MTK.sum(-1, keepdim=True)
        return samples

    def _scale(self, size_2M: Tensor) -> Tensor:
        """Pixels of the image to one of the view. By a number, for CUDA rounds a division by a tensor otherwise."""
        height, width = self.target
        if height == width:
            return size_2M / height
        return torch.stack((size_2M[0] / height, size_2M[1] / width))

    def _centres(self, start_2M: Tensor, scale_2M: Tensor, flips: Sequence[Tensor]) -> Tensor:
        """The positions in the image of the centres of the view's pixels (2, M, T). That of the first pixel is 0.5."""
        step = self._step_T.beside(start_2M)
        if flips:
            mirrored_XM = torch.stack(tuple(flips)) if len(flips) > 1 else flips[0][None]
            mirrored_step_21T = self._mirrored_step_21T.beside(start_2M)
            step = torch.where(mirrored_XM[..., None], mirrored_step_21T, step)
        centre_2MT = step * scale_2M[..., None]
        return centre_2MT.add_(start_2M[..., None])

    def _between(self, box_4M: Tensor, centre_2MT: Tensor) -> Tensor:
        """The positions of the pixels of views that do not shrink, from -1, the image's start, to 1, its end.

        None is nearer to the box's borders than the centres of its outermost pixels. So no pixel outside is mixed in.
        """
        outermost_4M = box_4M + self._inwards_41.beside(box_4M)
        first_2M, last_2M = outermost_4M[:2], outermost_4M[2:]
        last_2M.add_(first_2M)
        position_2MT = centre_2MT.clamp_(first_2M[..., None], last_2M[..., None])
        position_2MT.mul_(self._unit_211.beside(box_4M))
        return position_2MT.sub_(1)

    def _weights(self, box_4M: Tensor, centre_2MT: Tensor, scale_2M: Tensor) -> tuple[Tensor, Tensor]:
        """The K pixels of the image that each pixel of the view is a mean of (2, M, T, K), and their weights.

        The weights are a triangle around the centre, cut off at the box. It reaches one pixel of the view to each side,
        but at least one of the image. K is that of the axis that has more.
        """
        centre_2MT1 = centre_2MT[..., None]
        reach_2M11 = scale_2M.clamp(min=1)[..., None, None]
        first_2MT1 = (centre_2MT1 - reach_2M11).add_(0.5).floor_()
        pixel_2MTK = first_2MT1 + self._tap_K.beside(box_4M)
        distance_2MTK = (pixel_2MTK + 0.5).sub_(centre_2MT1).abs_()
        weight_2MTK = (1 - distance_2MTK.div_(reach_2M11)).clamp_(min=0)
        start_2M, size_2M = box_4M[:2], box_4M[2:]
        end_2M = start_2M + size_2M
        inside_2MTK = pixel_2MTK >= start_2M[..., None, None]
        inside_2MTK &= pixel_2MTK < end_2M[..., None, None]
        return pixel_2MTK, weight_2MTK.mul_(inside_2MTK)


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
    first_MC = torch.arange(0, M * C * S, S, device=x_MCSW.device)
    row_MCTK = pixel_MTK[:, None] + first_MC.view(M, C, 1, 1)
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

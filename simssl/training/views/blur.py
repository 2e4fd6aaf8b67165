"""Gaussian blur, distributed as torchvision's GaussianBlur, and equal to it on the same parameters.

M counts views: B images, J views each. G counts the channels of all views (M * C), K the pixels of a kernel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from simssl.experiment import settings
from simssl.training.views.operation import Constant, Draws, Ranges, happens


class Blur:
    """Draws blur_sigma, the standard deviation in pixels of the view (0: not blurred)."""

    def __init__(self, blur: settings.Blur, kernel: int) -> None:
        self.range = Ranges([blur.sigma], (1,))
        self.probability = blur.probability
        self.kernel = kernel
        self.offset_K = Constant(torch.arange(kernel) - float(kernel // 2))
        """How far the kernel's pixels are from the middle one."""
        if blur.probability == 1:
            low, high = blur.sigma
            self.random = low < high
        else:
            self.random = blur.probability > 0

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        applied_M = happens(self.probability, count, generator)
        u_M = torch.rand(count, generator=generator, device=generator.device)
        sigma_M = self.range.between(u_M)
        return {"blur_sigma": sigma_M.mul_(applied_M)}

    def prepare(self, draws: Draws) -> Draws:
        sigma_M = draws["blur_sigma"]
        return {"kernel": gaussian(sigma_M, self.offset_K.beside(sigma_M))}

    def apply(self, x_MCHW: Tensor, prepared: Draws) -> Tensor:
        """The views, blurred along the rows, then along the columns. Each channel of each view is its own group."""
        M, C, H, W = x_MCHW.shape
        G = M * C
        kernel_GK = prepared["kernel"].repeat_interleave(C, dim=0)
        along_rows_G11K = kernel_GK[:, None, None, :]
        reach = self.kernel // 2
        padding = (reach, reach, reach, reach)
        padded_MCHW = F.pad(x_MCHW, padding, mode="reflect")
        x_1GHW = padded_MCHW.reshape(1, G, H + 2 * reach, W + 2 * reach)
        x_1GHW = F.conv2d(x_1GHW, along_rows_G11K, groups=G)
        along_columns_G1K1 = along_rows_G11K.transpose(-1, -2)
        x_1GHW = F.conv2d(x_1GHW, along_columns_G1K1, groups=G)
        return x_1GHW.view(M, C, H, W)

    def style(self, draws: Draws) -> Draws:
        return {"blur_sigma": draws["blur_sigma"]}


def gaussian(sigma_M: Tensor, offset_K: Tensor) -> Tensor:
    """Normalised weights (M, K) at these distances from the middle. Where sigma is 0, only the middle one is not 0."""
    scale_M1 = sigma_M.clamp(min=1e-3)[:, None]
    weights_MK = torch.exp(-0.5 * (offset_K / scale_M1).square())
    return weights_MK / weights_MK.sum(1, keepdim=True)

"""Gaussian blur, distributed as torchvision's GaussianBlur, and equal to it on the same parameters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from simssl.experiment import settings
from simssl.training.views.operation import Draws, happens, uniform


class Blur:
    """Draws blur_sigma, the standard deviation in pixels of the view (0: not blurred)."""

    def __init__(self, blur: settings.Blur, kernel: int) -> None:
        self.sigma, self.probability, self.kernel = blur.sigma, blur.probability, kernel
        low, high = blur.sigma
        self.random = 0 < blur.probability < 1 or (blur.probability == 1 and low < high)

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        applied_M = happens(self.probability, count, generator)
        return {"blur_sigma": torch.where(applied_M, uniform(self.sigma, count, generator), 0.0)}

    def prepare(self, draws: Draws) -> Draws:
        return {"kernel": gaussian(draws["blur_sigma"], self.kernel)}

    def apply(self, x_MCHW: Tensor, prepared: Draws) -> Tensor:
        """Along the rows, then along the columns; each channel of each view is a group of its own."""
        M, C, H, W = x_MCHW.shape
        kernel_G11K = prepared["kernel"].repeat_interleave(C, dim=0)[:, None, None, :]
        reach = self.kernel // 2
        padded_MCHW = F.pad(x_MCHW, (reach, reach, reach, reach), mode="reflect")
        x_1GHW = padded_MCHW.reshape(1, M * C, H + 2 * reach, W + 2 * reach)
        x_1GHW = F.conv2d(x_1GHW, kernel_G11K, groups=M * C)
        return F.conv2d(x_1GHW, kernel_G11K.transpose(-1, -2), groups=M * C).view(M, C, H, W)

    def style(self, draws: Draws) -> Draws:
        return {"blur_sigma": draws["blur_sigma"]}


def gaussian(sigma_M: Tensor, kernel: int) -> Tensor:
    """Normalised weights (M, kernel); where sigma is 0, the middle one alone."""
    offset_K = torch.arange(kernel, device=sigma_M.device) - kernel // 2
    weights_MK = torch.exp(-0.5 * (offset_K / sigma_M.clamp(min=1e-3)[:, None]).square())
    return weights_MK / weights_MK.sum(1, keepdim=True)

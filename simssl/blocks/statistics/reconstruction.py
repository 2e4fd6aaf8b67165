"""Errors of images that are decoded from their representations, and a picture of them. P counts pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from simssl.blocks.images.pictures import picture_grid

DECODED_AT_ONCE = 1000
"""Images that are decoded at once."""

Images = Callable[[Tensor], Tensor]
"""The images (B, C, H, W) in [0, 1] at these indices (B,)."""

Decode = Callable[[Tensor], Tensor]
"""Logits (B, C, H, W) of representations (B, D)."""


class ReconstructionErrors(NamedTuple):
    """The errors of decoded images, on average over them.

    `mse` is the squared error a pixel of the expected image, and `nll` is -log p(x | z) in nats an image. `r2` is
    1 - mse / (mse of one image that is given for all); None if all images are that one.
    """

    mse: float
    nll: float
    r2: float | None


def reconstruction_errors(
    images: Images, z_ND: Tensor, decode: Decode, likelihood: Any, mean_CHW: Tensor
) -> ReconstructionErrors:
    """The errors of images decoded from representations (N, D), against one image that is given for all.

    `likelihood` is one of `simssl.blocks.losses.likelihoods`.
    """
    N = len(z_ND)
    nll, mse, mse_of_mean = torch.zeros(3, dtype=torch.float64)
    for index_B in torch.arange(N).split(DECODED_AT_ONCE):
        x_BCHW = images(index_B)
        logits_BCHW = decode(z_ND[index_B])
        nll -= likelihood.log_prob(x_BCHW, logits_BCHW).sum().cpu()
        mse += _squared_errors(likelihood.mean(logits_BCHW), x_BCHW)
        mse_of_mean += _squared_errors(mean_CHW, x_BCHW)
    r2 = 1 - (mse / mse_of_mean).item() if mse_of_mean > 0 else None
    return ReconstructionErrors(mse.item() / N, nll.item() / N, r2)


def mean_image(images: Images, N: int) -> Tensor:
    """The mean of N images, (C, H, W)."""
    sums = []
    for index_B in torch.arange(N).split(DECODED_AT_ONCE):
        sum_CHW = images(index_B).double().sum(0)
        sums.append(sum_CHW)
    mean_CHW = torch.stack(sums).sum(0) / N
    return mean_CHW.float()


def reconstruction_picture(x_NCHW: Tensor, expected_NCHW: Tensor) -> Tensor:
    """One picture (C, height, width) of the originals, each over the image that was decoded for it."""
    return picture_grid([x_NCHW.cpu(), expected_NCHW.cpu()])


def _squared_errors(expected: Tensor, x_BCHW: Tensor) -> Tensor:
    """The mean over each image's pixels, summed over the images: 0-d."""
    squares_BP = (expected - x_BCHW).square().flatten(1)
    return squares_BP.mean(1).sum().cpu()

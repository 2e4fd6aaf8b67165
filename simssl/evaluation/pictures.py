"""The pictures and arrays that a trained model is given to encode."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from simssl.api import Shape
from simssl.blocks.images import fitted_image, read_image, upright_image
from simssl.errors import UserError

Picture = Image.Image | str | os.PathLike[str]
"""A PIL image, or the path of an image file."""
Images = Tensor | np.ndarray | Picture | Sequence[Picture]

PICTURES = (Image.Image, str, os.PathLike)
"""The classes of what can be a picture."""
ROUNDING = 1e-6
"""Most by which floating-point images may leave [0, 1]."""


def are_pictures(images: Any) -> bool:
    """True for a sequence of PIL images and paths, even an empty one."""
    if not isinstance(images, Sequence):
        return False
    return all(isinstance(image, PICTURES) for image in images)


def fitted(picture: Picture, shape: Shape) -> np.ndarray:
    """The pixels of a picture, upright and of this shape (C, H, W)."""
    if isinstance(picture, Image.Image):
        return fitted_image(upright_image(picture), shape)
    path = Path(picture)
    if not path.exists():
        raise FileNotFoundError(f"there is no image {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give the paths of the images in it")
    opened = read_image(path, at_least=max(shape[1:]))
    return fitted_image(opened, shape)


def require_fitting(images_NCHW: Tensor, shape: Shape) -> None:
    """Raise UserError if images cannot be brought to this shape (C, H, W), as they are of other channels."""
    own = tuple(images_NCHW.shape[1:])
    if own != shape and not {own[0], shape[0]} <= {1, 3}:
        raise UserError(f"the data set's images are {own} and the run's {shape}, of other channels")


def fitted_images(images_NCHW: Tensor, shape: Shape) -> Tensor:
    """uint8 images, brought to this shape as pictures are. UserError if they are of other channels."""
    require_fitting(images_NCHW, shape)
    own = tuple(images_NCHW.shape[1:])
    if own == shape:
        return images_NCHW
    pixels_NHWC = images_NCHW.permute(0, 2, 3, 1).numpy()
    arrays = []
    for pixels_HWC in pixels_NHWC:
        pixels = pixels_HWC.squeeze(2) if own[0] == 1 else pixels_HWC
        arrays.append(fitted(Image.fromarray(pixels), shape))
    return torch.from_numpy(np.stack(arrays))


def check_values(x_NCHW: Tensor) -> None:
    if x_NCHW.dtype == torch.uint8:
        return
    if not x_NCHW.is_floating_point():
        raise ValueError(f"images are uint8, from 0 to 255, or floating-point numbers in [0, 1], not {x_NCHW.dtype}")
    lowest, highest = x_NCHW.aminmax()
    low = lowest.item()
    high = highest.item()
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise ValueError(f"images of floating-point numbers lie in [0, 1], and these from {low:.4g} to {high:.4g}")

"""Random views by their formulas, written out one value after the other: what the few operations of a step must equal.

Not one rounding and not one draw may differ. M counts views, A the attempts at a crop, T the pixels of a view along an
axis, K the pixels of the image that each of them is a mean of.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from simssl.api import Shape
from simssl.experiment.settings import Crop, Jitter, ViewSettings

Draws = dict[str, Tensor]
BLENDS = ("brightness", "contrast", "saturation")


def slow_draws(views: ViewSettings, source: Shape, count: int, generator: torch.Generator) -> Draws:
    """The parameters (M,) of `count` views, by the names that they have in torchvision."""
    draws: Draws = {}
    if views.crop:
        draws |= _crop(views.crop, source[1], source[2], count, generator)
    for name in ("horizontal_flip", "vertical_flip"):
        if probability := getattr(views, name):
            draws[name] = torch.rand(count, generator=generator) < probability
    if views.jitter:
        draws |= _jitter(views.jitter, count, generator)
    if views.grey:
        draws["grey"] = torch.rand(count, generator=generator) < views.grey
    if views.blur:
        applied_M = torch.rand(count, generator=generator) < views.blur.probability
        low, high = views.blur.sigma
        sigma_M = low + (high - low) * torch.rand(count, generator=generator)
        draws["blur_sigma"] = torch.where(applied_M, sigma_M, 0.0)
    return draws


def _crop(crop: Crop, height: int, width: int, count: int, generator: torch.Generator) -> Draws:
    u_MA2 = torch.rand(count, 10, 2, generator=generator)
    low, high = crop.scale
    area_MA = height * width * (low + (high - low) * u_MA2[..., 0])
    low, high = (math.log(ratio) for ratio in crop.ratio)
    ratio_MA = (low + (high - low) * u_MA2[..., 1]).exp()
    width_MA = (area_MA * ratio_MA).sqrt().round().long()
    height_MA = (area_MA / ratio_MA).sqrt().round().long()
    u_M2 = torch.rand(count, 2, generator=generator)
    boxes = []
    for widths, heights, u in zip(width_MA.tolist(), height_MA.tolist(), u_M2, strict=True):
        box = _central(crop, height, width)
        for w, h in zip(widths, heights, strict=True):
            if 0 < w <= width and 0 < h <= height:
                top = min(int((u[0] * (height - h + 1)).long()), height - h)
                left = min(int((u[1] * (width - w + 1)).long()), width - w)
                box = (top, left, h, w)
                break
        boxes.append(box)
    columns = torch.tensor(boxes).reshape(count, 4).unbind(1)
    return dict(zip(("crop_top", "crop_left", "crop_height", "crop_width"), columns, strict=True))


def _central(crop: Crop, height: int, width: int) -> tuple[int, int, int, int]:
    h, w = height, width
    if width / height < crop.ratio[0]:
        h = round(width / crop.ratio[0])
    elif width / height > crop.ratio[1]:
        w = round(height * crop.ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


def _jitter(jitter: Jitter, count: int, generator: torch.Generator) -> Draws:
    ranges = {}
    for name in BLENDS:
        if strength := getattr(jitter, name):
            ranges[name] = (max(0.0, 1 - strength), 1 + strength)
    if jitter.hue:
        ranges["hue"] = (-jitter.hue, jitter.hue)
    u_MR = torch.rand(count, len(ranges), generator=generator)
    draws = {}
    for column, (name, (low, high)) in enumerate(ranges.items()):
        draws[name] = low + (high - low) * u_MR[:, column]
    if jitter.probability < 1:
        applied_M = torch.rand(count, generator=generator) < jitter.probability
        for name in ranges:
            draws[name] = torch.where(applied_M, draws[name], 0.0 if name == "hue" else 1.0)
    draws["blend_order"] = torch.rand(count, 3, generator=generator).argsort(1)
    draws["blends_before_hue"] = torch.randint(4, (count,), generator=generator)
    return draws


def slow_style(draws: Draws, source: Shape) -> Draws:
    """What an observer could read off the views (M,)."""
    style = {}
    axes = (("y", "top", "height", "vertical_flip"), ("x", "left", "width", "horizontal_flip"))
    for (axis, start, size, flip), length in zip(axes, source[1:], strict=True):
        if "crop_top" in draws:
            centre_M = (draws[f"crop_{start}"] + draws[f"crop_{size}"] / 2) / length
            mirrored_M = draws.get(flip, torch.zeros(len(centre_M), dtype=torch.bool))
            style[f"crop_centre_{axis}"] = torch.where(mirrored_M, 1 - centre_M, centre_M)
            style[f"crop_{size}"] = draws[f"crop_{size}"].float() / length
    for name in ("horizontal_flip", "vertical_flip", *BLENDS, "hue", "grey", "blur_sigma"):
        if name in draws:
            style[name] = draws[name].float()
    return style


def slow_views(views: ViewSettings, images_MCHW: Tensor, draws: Draws, kernel: int) -> Tensor:
    """The views (M, C, *target) of images, each drawn by itself."""
    seen = []
    for number, image_CHW in enumerate(images_MCHW):
        x_1CHW = image_CHW[None].float() / 255
        one = {name: values[number : number + 1] for name, values in draws.items()}
        x_1CHW = _geometry(views, x_1CHW, one)
        if views.jitter:
            x_1CHW = _jittered(views.jitter, x_1CHW, one)
        if views.grey:
            x_1CHW = torch.lerp(x_1CHW, _luma(x_1CHW), one["grey"].float())
        if views.blur:
            x_1CHW = _blurred(x_1CHW, one["blur_sigma"], kernel)
        if views.finish.threshold is None:
            seen.append(x_1CHW.clamp(0, 1))
        else:
            seen.append((x_1CHW > views.finish.threshold).float())
    return torch.cat(seen)


def _geometry(views: ViewSettings, x_1CHW: Tensor, one: Draws) -> Tensor:
    height, width = x_1CHW.shape[-2:]
    target = (views.size or height, views.size or width)
    if not (views.crop or views.horizontal_flip or views.vertical_flip):
        if target == (height, width):
            return x_1CHW
        return F.interpolate(x_1CHW, target, mode="bilinear", align_corners=False, antialias=True)
    zero_1 = torch.zeros(1)
    rows = (height, target[0], one.get("crop_top", zero_1), one.get("crop_height", zero_1 + height))
    columns = (width, target[1], one.get("crop_left", zero_1), one.get("crop_width", zero_1 + width))
    mirrored = (one.get("vertical_flip"), one.get("horizontal_flip"))
    if height <= target[0] and width <= target[1]:
        row_1T = _positions(*rows, mirrored[0])
        column_1T = _positions(*columns, mirrored[1])
        grid_1TT = torch.complex(column_1T[:, None, :], row_1T[:, :, None])
        return F.grid_sample(x_1CHW, torch.view_as_real(grid_1TT), align_corners=False)
    x_1CTW = _mix(x_1CHW, *_weights(*rows, mirrored[0]))
    return _mix(x_1CTW.mT, *_weights(*columns, mirrored[1])).mT


def _centres(target: int, start_1: Tensor, size_1: Tensor, mirrored_1: Tensor | None) -> Tensor:
    step_T = torch.arange(target) + 0.5
    if mirrored_1 is not None:
        step_T = torch.where(mirrored_1, target - step_T, step_T)
    return (start_1 + step_T * (size_1 / target))[None]


def _positions(source: int, target: int, start_1: Tensor, size_1: Tensor, mirrored_1: Tensor | None) -> Tensor:
    first_1 = start_1 + 0.5
    centre_1T = _centres(target, start_1, size_1, mirrored_1).clamp(first_1, first_1 + (size_1 - 1))
    return centre_1T * (2 / source) - 1


def _weights(
    source: int, target: int, start_1: Tensor, size_1: Tensor, mirrored_1: Tensor | None
) -> tuple[Tensor, Tensor]:
    centre_T1 = _centres(target, start_1, size_1, mirrored_1)[0, :, None]
    reach_1 = (size_1 / target).clamp(min=1)
    taps_K = torch.arange(math.ceil(2 * max(1.0, source / target)))
    pixel_TK = (centre_T1 - reach_1 + 0.5).floor() + taps_K
    triangle_TK = (1 - (pixel_TK + 0.5 - centre_T1).abs() / reach_1).clamp(min=0)
    inside_TK = (pixel_TK >= start_1) & (pixel_TK < start_1 + size_1)
    weight_TK = triangle_TK * inside_TK
    weight_TK = weight_TK / weight_TK.sum(-1, keepdim=True)
    return pixel_TK.clamp(0, source - 1).long(), weight_TK


def _mix(x_1CSW: Tensor, pixel_TK: Tensor, weight_TK: Tensor) -> Tensor:
    def mixed(table_SW: Tensor) -> Tensor:
        return F.embedding_bag(pixel_TK, table_SW.contiguous(), mode="sum", per_sample_weights=weight_TK)

    return torch.stack([mixed(table_SW) for table_SW in x_1CSW[0]])[None]


def _jittered(jitter: Jitter, x_1CHW: Tensor, one: Draws) -> Tensor:
    for step, blend in enumerate(one["blend_order"][0].tolist()):
        if jitter.hue and step == one["blends_before_hue"].item():
            x_1CHW = _rotated(x_1CHW, one["hue"])
        grey_11HW = _luma(x_1CHW)
        grey = {
            "brightness": torch.zeros_like(grey_11HW),
            "contrast": grey_11HW.mean((2, 3), keepdim=True).expand_as(grey_11HW),
            "saturation": grey_11HW,
        }[BLENDS[blend]]
        factor_1 = one.get(BLENDS[blend], torch.ones(1))
        x_1CHW = torch.lerp(grey, x_1CHW, factor_1).clamp(0, 1)
    if jitter.hue and one["blends_before_hue"].item() == 3:
        x_1CHW = _rotated(x_1CHW, one["hue"])
    return x_1CHW


def _luma(x_1CHW: Tensor) -> Tensor:
    if x_1CHW.shape[1] == 1:
        return x_1CHW.clone()
    red, green, blue = x_1CHW.split(1, dim=1)
    return (0.2989 * red).add(green, alpha=0.587).add(blue, alpha=0.114)


def _rotated(x_13HW: Tensor, rotation_1: Tensor) -> Tensor:
    red, green, blue = x_13HW.unbind(1)
    top = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    chroma = top - low
    hue = ((green - red) + (blue - low) + chroma) / chroma.clamp(min=torch.finfo(torch.float32).tiny)
    hue = hue.copysign(green - blue) + 6 * rotation_1
    hue = hue.sub((hue / 6).floor(), alpha=6)
    away = [((hue - sixths).abs() - 2).clamp(-1, 0) * chroma for sixths in (3, 2, 4)]
    return torch.stack((away[0] + top, low - away[1], low - away[2]), dim=1)


def _blurred(x_1CHW: Tensor, sigma_1: Tensor, kernel: int) -> Tensor:
    C = x_1CHW.shape[1]
    offset_K = torch.arange(kernel) - kernel // 2
    weight_K = torch.exp(-0.5 * (offset_K / sigma_1.clamp(min=1e-3)).square())
    weight_K = weight_K / weight_K.sum()
    reach = kernel // 2
    padded_1CHW = F.pad(x_1CHW, (reach, reach, reach, reach), mode="reflect")
    weight_C11K = weight_K.expand(C, 1, 1, kernel)
    x_1CHW = F.conv2d(padded_1CHW, weight_C11K, groups=C)
    return F.conv2d(x_1CHW, weight_C11K.mT, groups=C)

"""Colour jitter and loss of colour, distributed as torchvision's ColorJitter and RandomGrayscale.

M counts views: B images, J views each. R counts the parameters that are drawn from a range.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simssl.experiment import settings
from simssl.training.views.operation import Draws, between, happens

BLENDS = ("brightness", "contrast", "saturation")
"""Operations that move a view away from (or towards) black, its mean grey, or each pixel's own grey, in this order."""
BRIGHTNESS, CONTRAST, SATURATION = range(3)


class Jitter:
    """Draws the factors and the rotation that the settings have, and the order of the operations.

    The factors are brightness, contrast and saturation (1: as it was); the rotation is hue (0: as it was). The order is
    `blend_order` (M, 3), the index in BLENDS of the first, second and third blend, and `blends_before_hue`, from 0 to
    3. All 24 orders are equally probable.
    """

    def __init__(self, jitter: settings.Jitter) -> None:
        self.probability = jitter.probability
        self.ranges: dict[str, tuple[float, float]] = {}
        for name in BLENDS:
            strength = getattr(jitter, name)
            if strength:
                lowest = max(0.0, 1 - strength)
                self.ranges[name] = (lowest, 1 + strength)
        self.hue = jitter.hue
        self.random = jitter.probability > 0

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        device = generator.device
        ranges = dict(self.ranges)
        if self.hue:
            ranges["hue"] = (-self.hue, self.hue)
        u_MR = torch.rand(count, len(ranges), generator=generator, device=device)
        draws = {}
        for (name, limits), u_M in zip(ranges.items(), u_MR.unbind(1), strict=True):
            draws[name] = between(limits, u_M)
        if self.probability < 1:
            applied_M = happens(self.probability, count, generator)
            for name in ranges:
                neutral = 0.0 if name == "hue" else 1.0
                draws[name] = torch.where(applied_M, draws[name], neutral)
        u_M3 = torch.rand(count, len(BLENDS), generator=generator, device=device)
        draws["blend_order"] = u_M3.argsort(1)
        possible = len(BLENDS) + 1
        draws["blends_before_hue"] = torch.randint(possible, (count,), generator=generator, device=device)
        return draws

    def prepare(self, draws: Draws) -> Draws:
        """The factors of the blends before the hue's rotation and of those after it (M, 6), and their greys (M, 3).

        A blend that a view has only in the other half has the factor 1. So the host need not know how many views have
        which order. Without a rotation the factors are (M, 3). `mean` and `own` say, for both halves, which grey a
        blend moves the view from: see `blend`.
        """
        if not self.ranges:
            return {"hue": draws["hue"]}
        order_M3 = draws["blend_order"]
        device = order_M3.device
        neutral_M = torch.ones(len(order_M3), device=device)
        by_name = [draws.get(name, neutral_M) for name in BLENDS]
        factor_M3 = torch.stack(by_name, dim=1).gather(1, order_M3)
        prepared = {
            "factor": factor_M3,
            "mean": (order_M3 == CONTRAST).float(),
            "own": (order_M3 == SATURATION).float(),
        }
        if not self.hue:
            return prepared
        index_3 = torch.arange(len(BLENDS), device=device)
        before_M3 = index_3 < draws["blends_before_hue"][:, None]
        first_half_M3 = torch.where(before_M3, factor_M3, 1.0)
        second_half_M3 = torch.where(before_M3, 1.0, factor_M3)
        prepared["factor"] = torch.cat((first_half_M3, second_half_M3), dim=1)
        prepared["hue"] = draws["hue"]
        return prepared

    def apply(self, x_MCHW: Tensor, prepared: Draws) -> Tensor:
        if not self.ranges:
            return rotate_hue(x_MCHW, prepared["hue"])
        factors = _columns(prepared["factor"])
        means = _columns(prepared["mean"])
        owns = _columns(prepared["own"])
        for step, factor_M111 in enumerate(factors):
            if step == len(BLENDS):
                rotate_hue(x_MCHW, prepared["hue"])
            column = step % len(BLENDS)
            blend(x_MCHW, factor_M111, means[column], owns[column])
        return x_MCHW

    def style(self, draws: Draws) -> Draws:
        names = (*BLENDS, "hue")
        return {name: draws[name] for name in names if name in draws}


class Grey:
    """Draws grey (bool)."""

    def __init__(self, probability: float) -> None:
        self.probability = probability
        self.random = 0 < probability < 1

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        return {"grey": happens(self.probability, count, generator)}

    def prepare(self, draws: Draws) -> Draws:
        return {"grey": draws["grey"].float()}

    def apply(self, x_MCHW: Tensor, prepared: Draws) -> Tensor:
        grey_M1HW = luma(x_MCHW)
        applied_M111 = prepared["grey"][:, None, None, None]
        return x_MCHW.lerp_(grey_M1HW, applied_M111)

    def style(self, draws: Draws) -> Draws:
        return {"grey": draws["grey"].float()}


def _columns(values: Tensor) -> tuple[Tensor, ...]:
    """The columns of a table with a row a view, each (M, 1, 1, 1)."""
    return values[..., None, None, None].unbind(1)


def luma(x_MCHW: Tensor) -> Tensor:
    """The grey (M, 1, H, W) of images of three colours or of one (ITU-R 601-2)."""
    if x_MCHW.shape[1] == 1:
        return x_MCHW.clone()
    red, green, blue = x_MCHW.split(1, dim=1)
    grey_M1HW = 0.2989 * red
    grey_M1HW.add_(green, alpha=0.587)
    grey_M1HW.add_(blue, alpha=0.114)
    return grey_M1HW


def blend(x_MCHW: Tensor, factor_M111: Tensor, mean_M111: Tensor, own_M111: Tensor) -> Tensor:
    """Multiply, in place, each view's distance to a grey by its factor, and clamp to [0, 1].

    The grey of a view is its mean grey if `mean` is 1, each pixel's own grey if `own` is 1, and black if both are 0.
    """
    grey_M1HW = luma(x_MCHW)
    view_grey_M111 = grey_M1HW.mean((2, 3), keepdim=True)
    view_grey_M111.mul_(mean_M111)
    grey_M1HW.mul_(own_M111)
    grey_M1HW.add_(view_grey_M111)
    torch.lerp(grey_M1HW, x_MCHW, factor_M111, out=x_MCHW)
    return x_MCHW.clamp_(0, 1)


def rotate_hue(x_M3HW: Tensor, rotation_M: Tensor) -> Tensor:
    """Rotate the hue of HSV by a fraction of its circle, in place. Value and saturation stay.

    In sixths of the circle the hue is 1 + (green + blue - red - lowest) / chroma from red, towards green or towards
    blue, whichever is the stronger. A colour that is e sixths from where it is strongest is clamp(2 - e, 0, 1) of the
    chroma above the lowest, and, as far from where it is weakest, so much below the highest.
    """
    red, green, blue = x_M3HW.unbind(1)
    top = torch.maximum(red, green)
    torch.maximum(top, blue, out=top)
    low = torch.minimum(red, green)
    torch.minimum(low, blue, out=low)
    chroma = top - low

    hue = green - red
    spare = blue - low
    hue.add_(spare)
    hue.add_(chroma)
    tiny = torch.finfo(torch.float32).tiny
    divisor = torch.clamp(chroma, min=tiny, out=spare)
    hue.div_(divisor)
    direction = torch.sub(green, blue, out=spare)
    hue.copysign_(direction)
    hue.add_(6 * rotation_M[:, None, None])
    circles = torch.div(hue, 6, out=spare)
    circles.floor_()
    hue.sub_(circles, alpha=6)

    for colour, sixths in ((red, 3), (green, 2), (blue, 4)):
        torch.sub(hue, sixths, out=colour)
    x_M3HW.abs_()
    x_M3HW.sub_(2)
    x_M3HW.clamp_(-1, 0)
    x_M3HW.mul_(chroma[:, None])
    red.add_(top)
    torch.sub(low, green, out=green)
    torch.sub(low, blue, out=blue)
    return x_M3HW

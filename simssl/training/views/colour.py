"""Colour jitter and loss of colour, distributed as torchvision's ColorJitter and RandomGrayscale."""

from __future__ import annotations

import torch
from torch import Tensor

from simssl.experiment import settings
from simssl.training.views.operation import Draws, between, happens

BLENDS = ("brightness", "contrast", "saturation")
"""Each moves a view away from (or towards) black, its mean grey, or each pixel's own grey."""
BRIGHTNESS, CONTRAST, SATURATION = range(3)


class Jitter:
    """Draws the factors brightness, contrast and saturation (1: as it was) and the turn hue (0: as it was), those
    that the settings have; and the order of the operations: `blend_order` (M, 3), the index in BLENDS of the
    first, second and third blend, and `blends_before_hue`, from 0 to 3. All 24 orders are equally probable.
    """

    def __init__(self, jitter: settings.Jitter) -> None:
        self.probability = jitter.probability
        strengths = {name: getattr(jitter, name) for name in BLENDS}
        self.ranges = {name: (max(0.0, 1 - s), 1 + s) for name, s in strengths.items() if s}
        self.hue = jitter.hue
        self.random = jitter.probability > 0

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        ranges = self.ranges | ({"hue": (-self.hue, self.hue)} if self.hue else {})
        u_MR = torch.rand(count, len(ranges), generator=generator, device=generator.device)
        draws = {name: between(limits, u_M) for (name, limits), u_M in zip(ranges.items(), u_MR.unbind(1), strict=True)}
        if self.probability < 1:
            applied_M = happens(self.probability, count, generator)
            neutral = {name: 0.0 if name == "hue" else 1.0 for name in ranges}
            draws = {name: torch.where(applied_M, value_M, neutral[name]) for name, value_M in draws.items()}
        device = generator.device
        draws["blend_order"] = torch.rand(count, len(BLENDS), generator=generator, device=device).argsort(1)
        draws["blends_before_hue"] = torch.randint(len(BLENDS) + 1, (count,), generator=generator, device=device)
        return draws

    def prepare(self, draws: Draws) -> Draws:
        """The factors of the blends before the turn of the hue and of those after it (M, 6), or, without a turn, of all
        (M, 3); and, for both, of which grey they are (M, 3).

        So the host need not know how many views have which order; a blend that is not a view's turn yet, or no
        longer, has the factor 1.
        """
        if not self.ranges:
            return {"hue": draws["hue"]}
        order_M3 = draws["blend_order"]
        neutral_M = torch.ones(len(order_M3), device=order_M3.device)
        factor_M3 = torch.stack([draws.get(name, neutral_M) for name in BLENDS], dim=1).gather(1, order_M3)
        greys = {"mean": (order_M3 == CONTRAST).float(), "own": (order_M3 == SATURATION).float()}
        if not self.hue:
            return {"factor": factor_M3, **greys}
        before_M3 = torch.arange(len(BLENDS), device=order_M3.device) < draws["blends_before_hue"][:, None]
        turns = torch.where(before_M3, factor_M3, 1.0), torch.where(before_M3, 1.0, factor_M3)
        return {"factor": torch.cat(turns, dim=1), **greys, "hue": draws["hue"]}

    def apply(self, x_MCHW: Tensor, prepared: Draws) -> Tensor:
        if not self.ranges:
            return turn_hue(x_MCHW, prepared["hue"])
        columns = {name: prepared[name][..., None, None, None].unbind(1) for name in ("factor", "mean", "own")}
        for place, factor_M111 in enumerate(columns["factor"]):
            if place == len(BLENDS):
                turn_hue(x_MCHW, prepared["hue"])
            kind = place % len(BLENDS)
            blend(x_MCHW, factor_M111, columns["mean"][kind], columns["own"][kind])
        return x_MCHW

    def style(self, draws: Draws) -> Draws:
        return {name: draws[name] for name in (*BLENDS, "hue") if name in draws}


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
        return x_MCHW.lerp_(luma(x_MCHW), prepared["grey"][:, None, None, None])

    def style(self, draws: Draws) -> Draws:
        return {"grey": draws["grey"].float()}


def luma(x_MCHW: Tensor) -> Tensor:
    """The grey (M, 1, H, W) of images of three colours or of one (ITU-R 601-2)."""
    if x_MCHW.shape[1] == 1:
        return x_MCHW.clone()
    red, green, blue = x_MCHW.split(1, dim=1)
    return (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def blend(x_MCHW: Tensor, factor_M111: Tensor, mean_M111: Tensor, own_M111: Tensor) -> Tensor:
    """Multiply, in place, each view's distance to a grey by its factor, and clamp to [0, 1].

    The grey is `mean` (0 or 1) of the view's mean grey, `own` (0 or 1) of each pixel's own, or black.
    """
    grey_M1HW = luma(x_MCHW)
    of_mean_M111 = grey_M1HW.mean((2, 3), keepdim=True).mul_(mean_M111)
    grey_M1HW.mul_(own_M111).add_(of_mean_M111)
    return torch.lerp(grey_M1HW, x_MCHW, factor_M111, out=x_MCHW).clamp_(0, 1)


def turn_hue(x_M3HW: Tensor, turn_M: Tensor) -> Tensor:
    """Turn the hue of HSV by a fraction of its circle, in place; value and saturation stay.

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
    hue.add_(spare).add_(chroma)
    hue.div_(torch.clamp(chroma, min=torch.finfo(torch.float32).tiny, out=spare))
    hue.copysign_(torch.sub(green, blue, out=spare)).add_(6 * turn_M[:, None, None])
    hue.sub_(torch.div(hue, 6, out=spare).floor_(), alpha=6)
    for colour, sixths in ((red, 3), (green, 2), (blue, 4)):
        torch.sub(hue, sixths, out=colour)
    x_M3HW.abs_().sub_(2).clamp_(-1, 0).mul_(chroma[:, None])
    red.add_(top)
    torch.sub(low, green, out=green)
    torch.sub(low, blue, out=blue)
    return x_M3HW

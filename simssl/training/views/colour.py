"""Colour jitter and loss of colour, distributed as torchvision's ColorJitter and RandomGrayscale."""

from __future__ import annotations

import torch
from torch import Tensor

from simssl.experiment import settings
from simssl.training.views.operation import Draws, happens, uniform

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
        applied_M = happens(self.probability, count, generator)
        draws = {
            name: torch.where(applied_M, uniform(limits, count, generator), 1.0) for name, limits in self.ranges.items()
        }
        if self.hue:
            draws["hue"] = torch.where(applied_M, uniform((-self.hue, self.hue), count, generator), 0.0)
        device = generator.device
        draws["blend_order"] = torch.rand(count, len(BLENDS), generator=generator, device=device).argsort(1)
        draws["blends_before_hue"] = torch.randint(len(BLENDS) + 1, (count,), generator=generator, device=device)
        return draws

    def apply(self, x_MCHW: Tensor, draws: Draws) -> Tensor:
        """The blends before the turn of the hue, the turn, and the blends after it.

        So the host need not know how many views have which order; a blend that is not a view's turn yet, or no
        longer, has the factor 1.
        """
        if not self.hue:
            return self._blend_all(x_MCHW, draws, torch.ones_like(draws["blend_order"], dtype=torch.bool))
        places = torch.arange(len(BLENDS), device=x_MCHW.device)
        before_M3 = places < draws["blends_before_hue"][:, None]
        x_MCHW = self._blend_all(x_MCHW, draws, before_M3)
        return self._blend_all(turn_hue(x_MCHW, draws["hue"]), draws, ~before_M3)

    def _blend_all(self, x_MCHW: Tensor, draws: Draws, turn_M3: Tensor) -> Tensor:
        """The blends whose turn it is, each view's in its own order."""
        if not self.ranges:
            return x_MCHW
        neutral_M = torch.ones(len(x_MCHW), device=x_MCHW.device)
        factors_M3 = torch.stack([draws.get(name, neutral_M) for name in BLENDS], dim=1)
        factors_M3 = factors_M3.gather(1, draws["blend_order"])
        factors_M3 = torch.where(turn_M3, factors_M3, 1.0)
        for kind_M, factor_M in zip(draws["blend_order"].unbind(1), factors_M3.unbind(1), strict=True):
            x_MCHW = blend(x_MCHW, kind_M, factor_M)
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

    def apply(self, x_MCHW: Tensor, draws: Draws) -> Tensor:
        return torch.where(draws["grey"][:, None, None, None], luma(x_MCHW), x_MCHW)

    def style(self, draws: Draws) -> Draws:
        return {"grey": draws["grey"].float()}


def luma(x_MCHW: Tensor) -> Tensor:
    """The grey (M, 1, H, W) of images of three colours or of one (ITU-R 601-2)."""
    if x_MCHW.shape[1] == 1:
        return x_MCHW
    red, green, blue = x_MCHW.split(1, dim=1)
    return (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def blend(x_MCHW: Tensor, kind_M: Tensor, factor_M: Tensor) -> Tensor:
    """Multiply each view's distance to what its kind of blend is relative to by its factor; clamp to [0, 1]."""
    kind_M111, factor_M111 = kind_M[:, None, None, None], factor_M[:, None, None, None]
    grey_M1HW = luma(x_MCHW)
    mean_M111 = grey_M1HW.mean((1, 2, 3), keepdim=True)
    origin_M1HW = torch.where(kind_M111 == SATURATION, grey_M1HW, mean_M111 * (kind_M111 == CONTRAST))
    return torch.lerp(origin_M1HW, x_MCHW, factor_M111).clamp_(0, 1)


def turn_hue(x_M3HW: Tensor, turn_M: Tensor) -> Tensor:
    """Turn the hue of HSV by a fraction of its circle; value and saturation stay."""
    red, green, blue = x_M3HW.unbind(1)
    top_MHW, low_MHW = x_M3HW.amax(1), x_M3HW.amin(1)
    chroma_MHW = top_MHW - low_MHW
    divisor_MHW = chroma_MHW.clamp(min=torch.finfo(torch.float32).tiny)
    sixth_MHW = torch.where(
        top_MHW == red,
        (green - blue) / divisor_MHW,
        torch.where(top_MHW == green, 2 + (blue - red) / divisor_MHW, 4 + (red - green) / divisor_MHW),
    )
    sixth_MHW = (sixth_MHW + 6 * turn_M[:, None, None]).remainder_(6)
    parts = ((sixth_MHW - 3).abs_() - 1, 2 - (sixth_MHW - 2).abs_(), 2 - (sixth_MHW - 4).abs_())
    shares_M3HW = torch.stack(parts, dim=1).clamp_(0, 1)
    return shares_M3HW.mul_(chroma_MHW[:, None]).add_(low_MHW[:, None])

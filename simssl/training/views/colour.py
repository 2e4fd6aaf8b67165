"""Colour jitter, loss of colour and solarisation, as torchvision's ColorJitter, RandomGrayscale and RandomSolarize.

M counts views: B images, J views each. R counts the parameters that are drawn from a range.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simssl.experiment import settings
from simssl.training.views.operation import Constant, Draws, Ranges, happens

BLENDS = ("brightness", "contrast", "saturation")
"""Operations that move a view away from (or towards) black, its mean grey, or each pixel's own grey, in this order."""

PARAMETERS = (*BLENDS, "hue")
NEUTRAL = (1.0, 1.0, 1.0, 0.0)
"""The parameters of a jitter that leaves a view as it is."""

GREYS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
"""Whether each of BLENDS moves a view from its mean grey, and whether from a pixel's own (3, 2). Neither is black."""

EXTREME_311 = Constant(torch.tensor([3.0, 2.0, 4.0]).view(3, 1, 1))
"""The hues in which red is weakest, green strongest and blue strongest, in sixths of the circle: see `rotate_hue`."""


class Jitter:
    """Draws the factors, the rotation and the order of the operations.

    `jitter` (M, 4) is the factors of brightness, contrast and saturation (1: as it was) and the rotation of the hue (0:
    as it was), also where the settings have none. The order is `blend_order` (M, 3), the index in BLENDS of the first,
    second and third blend, and `blends_before_hue`, from 0 to 3. All 24 orders are equally probable.
    """

    def __init__(self, jitter: settings.Jitter) -> None:
        self.probability = jitter.probability
        self.blends = bool(jitter.brightness or jitter.contrast or jitter.saturation)
        self.hue = bool(jitter.hue)
        self.random = jitter.probability > 0
        self.drawn = [name for name in PARAMETERS if getattr(jitter, name)]
        """The parameters that are drawn. The others stay neutral."""
        self.ranges = Ranges([_range(jitter, name) for name in PARAMETERS], (4,))
        columns = [self.drawn.index(name) if name in self.drawn else 0 for name in PARAMETERS]
        self.column_4 = Constant(torch.tensor(columns))
        self.neutral_4 = Constant(torch.tensor(NEUTRAL))
        self.greys_32 = Constant(GREYS)
        self.in_half_46 = Constant(_in_half())
        self.one = Constant(torch.ones(()))

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        device = generator.device
        u_MR = torch.rand(count, len(self.drawn), generator=generator, device=device)
        u_M4 = u_MR
        if len(self.drawn) < len(PARAMETERS):
            u_M4 = u_MR.index_select(1, self.column_4.beside(u_MR))
        jitter_M4 = self.ranges.between(u_M4)
        if self.probability < 1:
            applied_M = happens(self.probability, count, generator)
            jitter_M4 = torch.where(applied_M[:, None], jitter_M4, self.neutral_4.beside(u_MR))
        u_M3 = torch.rand(count, len(BLENDS), generator=generator, device=device)
        possible = len(BLENDS) + 1
        return {
            "jitter": jitter_M4,
            "blend_order": u_M3.argsort(1),
            "blends_before_hue": torch.randint(possible, (count,), generator=generator, device=device),
        }

    def prepare(self, draws: Draws) -> Draws:
        """The factors of the blends before the hue's rotation and of those after it (M, 6), and their greys (M, 3).

        A blend that a view has only in the other half has the factor 1. So the host need not know how many views have
        which order. Without a rotation the factors are (M, 3). `mean` and `own` say, for both halves, which grey a
        blend moves the view from: see `blend`.
        """
        jitter_M4 = draws["jitter"]
        prepared = {}
        if self.hue:
            prepared["hue"] = jitter_M4[:, 3]
        if not self.blends:
            return prepared
        order_M3 = draws["blend_order"]
        greys_M32 = self.greys_32.beside(order_M3)[order_M3]
        prepared["mean"], prepared["own"] = greys_M32.unbind(-1)
        factor_M3 = jitter_M4.gather(1, order_M3)
        if self.hue:
            in_half_M6 = self.in_half_46.beside(order_M3).index_select(0, draws["blends_before_hue"])
            in_half_M23 = in_half_M6.unflatten(1, (2, len(BLENDS)))
            factor_M23 = torch.where(in_half_M23, factor_M3[:, None], self.one.beside(factor_M3))
            prepared["factor"] = factor_M23.flatten(1)
        else:
            prepared["factor"] = factor_M3
        return prepared

    def apply(self, x_MCHW: Tensor, prepared: Draws) -> Tensor:
        if not self.blends:
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
        columns = draws["jitter"].unbind(1)
        return {name: columns[PARAMETERS.index(name)] for name in self.drawn}


def _range(jitter: settings.Jitter, name: str) -> tuple[float, float]:
    """What the parameter is drawn from."""
    strength = getattr(jitter, name)
    if name == "hue":
        return -strength, strength
    return max(0.0, 1 - strength), 1 + strength


def _in_half() -> Tensor:
    """Whether a blend is done before the rotation, and whether after it (4, 6), by the number of blends before it."""
    index_3 = torch.arange(len(BLENDS))
    before_4 = torch.arange(len(BLENDS) + 1)
    is_before_43 = index_3 < before_4[:, None]
    return torch.cat((is_before_43, ~is_before_43), dim=1)


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


class Solarize:
    """Draws solarize (bool): bright pixels are inverted."""

    def __init__(self, solarize: settings.Solarize) -> None:
        self.threshold = solarize.threshold
        self.probability = solarize.probability
        self.random = 0 < solarize.probability < 1

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        return {"solarize": happens(self.probability, count, generator)}

    def prepare(self, draws: Draws) -> Draws:
        return {"solarize": draws["solarize"][:, None, None, None]}

    def apply(self, x_MCHW: Tensor, prepared: Draws) -> Tensor:
        inverted_MCHW = (x_MCHW >= self.threshold) & prepared["solarize"]
        return torch.where(inverted_MCHW, 1 - x_MCHW, x_MCHW)

    def style(self, draws: Draws) -> Draws:
        return {"solarize": draws["solarize"].float()}


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
    top = x_M3HW.amax(1)
    low = x_M3HW.amin(1)
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

    torch.sub(hue[:, None], EXTREME_311.beside(hue), out=x_M3HW)
    x_M3HW.abs_()
    x_M3HW.sub_(2)
    x_M3HW.clamp_(-1, 0)
    x_M3HW.mul_(chroma[:, None])
    red.add_(top)
    others_M2HW = x_M3HW[:, 1:]
    torch.sub(low[:, None], others_M2HW, out=others_M2HW)
    return x_M3HW

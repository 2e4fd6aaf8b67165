"""The views of an experiment: its operations, one after the other, on every view of a batch at once.

M counts views: B images, J views each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from simssl.api import Shape
from simssl.blocks.distributed import own_rows, world_size
from simssl.errors import UserError
from simssl.experiment.settings import ViewSettings
from simssl.training.views.operation import Draws
from simssl.training.views.operations import check_channels, operations_of
from simssl.training.views.resample import resize

BySize = tuple[Tensor, ...]
"""Views of several sizes, (B, J, C, H, W) each, largest first."""

CACHE = 400_000
"""Numbers that a CPU works on at once. Ours: the few intermediate results of this size stay in its cache, and the
overhead of each operation is little beside them."""


class Views:
    """The views of an experiment, for images of one shape; UserError if the settings do not fit it."""

    def __init__(self, settings: ViewSettings, image_shape: Shape, section: str = "views") -> None:
        channels, height, width = image_shape
        if settings.size:
            height = width = settings.size
        self.threshold = settings.finish.threshold
        self.source = image_shape
        """The shape of the images."""
        self.shape: Shape = (channels, height, width)
        """The shape of every view, and of every image that is encoded, reconstructed or measured."""
        check_channels(settings, channels, section)
        self.operations = operations_of(settings, image_shape, self.shape, section)
        self.each: list[Views] = []
        """The views of a method, one by one, where they differ."""
        for number, operations in enumerate(settings.each or ()):
            self.each.append(Views(settings.of(operations), image_shape, f"views.each[{number}]"))
        self.small: Views | None = None
        """The small views beside the others."""
        if settings.small is not None:
            self.small = Views(settings.of(settings.small), image_shape, "views.small")
            _require_smaller(self.small.shape, self.shape)

    @property
    def random(self) -> bool:
        """True if two views of an image can differ."""
        return any(operation.random for operation in self.operations)

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """The parameters of `count` views, each (count, ...), on the generator's device."""
        draws: Draws = {}
        for operation in self.operations:
            draws |= operation.draw(count, generator)
        return draws

    def _draw_rows(self, count: int, generator: torch.Generator) -> Draws:
        """The parameters of this process's views, of those of all processes (`simssl.blocks.distributed.draw_rows`)."""
        draws = self.draw(count * world_size(), generator)
        return {name: own_rows(values) for name, values in draws.items()}

    def apply(self, images_MCHW: Tensor, draws: Draws) -> Tensor:
        """The views (M, *shape) in [0, 1] of uint8 images, one by one, as drawn."""
        prepared = [operation.prepare(draws) for operation in self.operations]
        views_MCHW = torch.empty(len(images_MCHW), *self.shape, device=images_MCHW.device)
        for part in _parts(images_MCHW):
            x_MCHW = images_MCHW[part].div(255)
            for operation, values in zip(self.operations, prepared, strict=True):
                values_of_part = {name: value[part] for name, value in values.items()}
                x_MCHW = operation.apply(x_MCHW, values_of_part)
            self._finish(x_MCHW, views_MCHW[part])
        return views_MCHW

    def _finish(self, x: Tensor, out: Tensor) -> Tensor:
        """Finish views into `out`, which may be x. They are clamped, for rounding can leave [0, 1] by the last bit."""
        if self.threshold is None:
            return torch.clamp(x, 0, 1, out=out)
        return torch.gt(x, self.threshold, out=out)

    def plain(self, images_MCHW: Tensor) -> Tensor:
        """Un-augmented images (M, *shape) in [0, 1], finished, of uint8 images or of floats in [0, 1]."""
        _, height, width = self.shape
        x_MCHW = resize(_in_unit_interval(images_MCHW), (height, width))
        return self._finish(x_MCHW, x_MCHW)

    def plain_batches(self, images_NCHW: Tensor, device: torch.device, size: int = 1000) -> Iterator[Tensor]:
        """Un-augmented images in [0, 1], finished, on the device, in batches as equal as can be of at most `size`."""
        return (self.plain(images_BCHW.to(device)) for images_BCHW in equal_batches(images_NCHW, size))

    def batch(self, images_BCHW: Tensor, kinds: Sequence[str], generator: torch.Generator) -> Tensor | BySize:
        """The views (B, J, *shape) of uint8 images; `kinds` says which of the J are "random", "plain" or "small"."""
        images_BJCHW = images_BCHW[:, None].expand(-1, len(kinds), -1, -1, -1)
        return self.of_images(images_BJCHW, kinds, generator)

    def of_images(self, images_BJCHW: Tensor, kinds: Sequence[str], generator: torch.Generator) -> Tensor | BySize:
        """The views (B, J, *shape) of J uint8 images each, view j of image j; `kinds` as in `batch`.

        Small views are the last of them. They come beside the others, in a tensor of their own.
        """
        small = sum(kind == "small" for kind in kinds)
        if not small:
            return self._of_one_size(images_BJCHW, kinds, generator)
        assert self.small is not None, "small views have no settings"
        x_BJCHW = self._of_one_size(images_BJCHW[:, :-small], kinds[:-small], generator)
        small_BKCHW = self.small._of_one_size(images_BJCHW[:, -small:], ["random"] * small, generator)
        return x_BJCHW, small_BKCHW

    def _of_one_size(self, images_BJCHW: Tensor, kinds: Sequence[str], generator: torch.Generator) -> Tensor:
        """The views (B, J, *shape), "random" or "plain"."""
        B = len(images_BJCHW)
        if "plain" not in kinds and not self.each:
            x_MCHW, _ = self._drawn(images_BJCHW.flatten(0, 1), generator)
            return x_MCHW.unflatten(0, (B, -1))
        by_kind: dict[str, list[Tensor]] = {"random": [], "plain": []}
        for images_BCHW, kind in zip(images_BJCHW.unbind(1), kinds, strict=True):
            by_kind[kind].append(images_BCHW)
        random = self._random(by_kind["random"], generator)
        return _in_order(kinds, random, map(self.plain, by_kind["plain"]))

    def _random(self, images_J: Sequence[Tensor], generator: torch.Generator) -> Sequence[Tensor]:
        """A random view (B, *shape) of each of J times B images."""
        if not images_J:
            return ()
        if self.each:
            return [
                views._drawn(images_BCHW, generator)[0] for views, images_BCHW in zip(self.each, images_J, strict=True)
            ]
        images_MCHW = torch.stack(list(images_J), dim=1).flatten(0, 1)
        x_MCHW, _ = self._drawn(images_MCHW, generator)
        return x_MCHW.unflatten(0, (-1, len(images_J))).unbind(1)

    def random_views(self, images_BCHW: Tensor, J: int, generator: torch.Generator) -> tuple[Tensor, Draws]:
        """J random views (B, J, *shape) of each uint8 image, and their parameters, each (B * J, ...)."""
        images_MCHW = images_BCHW.repeat_interleave(J, dim=0)
        x_MCHW, draws = self._drawn(images_MCHW, generator)
        return x_MCHW.unflatten(0, (len(images_BCHW), J)), draws

    def _drawn(self, images_MCHW: Tensor, generator: torch.Generator) -> tuple[Tensor, Draws]:
        """One random view (M, *shape) of each uint8 image, and their parameters, each (M, ...)."""
        draws = self._draw_rows(len(images_MCHW), generator)
        return self.apply(images_MCHW, draws), draws

    def style(self, draws: Draws) -> dict[str, Tensor]:
        """The parameters that an observer could read off the views (M,), float32.

        They are crop and flips in the view as seen, the factors of the jitter, grey (0 or 1), the blur's sigma and
        solarize (0 or 1). The order of the jitter's operations is not among them.
        """
        style: Draws = {}
        for operation in self.operations:
            style |= operation.style(draws)
        return style


def _in_unit_interval(images_MCHW: Tensor) -> Tensor:
    """A copy in float32 of uint8 images or of floats in [0, 1]."""
    if images_MCHW.dtype == torch.uint8:
        return images_MCHW.div(255)
    return images_MCHW.to(torch.float32, copy=True)


def _in_order(kinds: Sequence[str], random: Iterable[Tensor], plain: Iterable[Tensor]) -> Tensor:
    """The views (B, J, *shape), each the next one of its kind."""
    of_kind = {"random": iter(random), "plain": iter(plain)}
    return torch.stack([next(of_kind[kind]) for kind in kinds], dim=1)


def equal_batches(images_NCHW: Tensor, size: int = 1000) -> tuple[Tensor, ...]:
    """The images in batches as equal as can be, of at most `size`."""
    parts = math.ceil(len(images_NCHW) / size)
    return images_NCHW.tensor_split(parts)


def _parts(images_MCHW: Tensor) -> list[slice]:
    """Slices of views to work on at once: as equal as can be, and small enough for a CPU's cache. A GPU takes all."""
    M = len(images_MCHW)
    parts = 1
    if not images_MCHW.is_cuda:
        numbers = math.prod(images_MCHW.shape[1:])
        most = max(1, CACHE // numbers)
        parts = math.ceil(M / most)
    slices = []
    for part in range(parts):
        start = M * part // parts
        end = M * (part + 1) // parts
        slices.append(slice(start, end))
    return slices


def _require_smaller(small: Shape, shape: Shape) -> None:
    """UserError if the small views are not the smaller ones."""
    _, height, width = shape
    size = small[1]
    if size >= min(height, width):
        raise UserError(f"views.small.size is {size}, and the other views are {height} x {width}; make it smaller")

"""Views and their draws, bit by bit those of the formulas written out one by one."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from simssl.api import Shape
from simssl.experiment.settings import Blur, Crop, Finish, Jitter, ViewSettings
from simssl.testing.operations import Operations
from simssl.training.views import Views
from simssl.training.views.blur import Blur as BlurOperation
from tests.support.slow_views import slow_draws, slow_style, slow_views

PAPER = Jitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2)
CROP = Crop(scale=(0.2, 1.0))
CASES: list[tuple[Shape, ViewSettings]] = [
    ((1, 28, 28), ViewSettings(crop=Crop(scale=(0.4, 1.0), ratio=(0.75, 1.3333)), finish=Finish(threshold=0.5))),
    ((3, 24, 41), ViewSettings(crop=CROP)),
    ((3, 41, 24), ViewSettings(crop=CROP, horizontal_flip=0.5)),
    ((1, 9, 7), ViewSettings(crop=CROP, horizontal_flip=0.5, vertical_flip=0.3)),
    ((1, 16, 12), ViewSettings(horizontal_flip=0.5)),
    ((1, 16, 12), ViewSettings(vertical_flip=1.0)),
    ((3, 12, 12), ViewSettings(horizontal_flip=0.7, vertical_flip=0.3)),
    ((1, 1, 5), ViewSettings(crop=Crop(scale=(0.01, 0.3), ratio=(0.3, 3.0)))),
    ((1, 20, 30), ViewSettings(crop=Crop(scale=(1.0, 1.0), ratio=(3.0, 4.0)), horizontal_flip=0.5)),
    ((1, 20, 60), ViewSettings(crop=Crop(scale=(0.9, 1.0)))),
    ((3, 31, 17), ViewSettings(size=9, crop=CROP, horizontal_flip=0.5, vertical_flip=0.3)),
    ((1, 31, 17), ViewSettings(size=20, crop=CROP, horizontal_flip=0.5)),
    ((3, 13, 17), ViewSettings(size=24, crop=CROP, vertical_flip=0.5)),
    ((3, 31, 17), ViewSettings(size=9, horizontal_flip=0.5)),
    ((3, 20, 17), ViewSettings(size=9)),
    ((3, 16, 12), ViewSettings(jitter=PAPER)),
    ((3, 16, 12), ViewSettings(jitter=PAPER.model_copy(update={"probability": 0.5}))),
    ((3, 16, 12), ViewSettings(jitter=Jitter(hue=0.5, probability=0.8))),
    ((3, 16, 12), ViewSettings(jitter=Jitter(contrast=0.4))),
    ((3, 16, 12), ViewSettings(jitter=Jitter(saturation=1.5, hue=0.1, probability=0.8))),
    ((3, 16, 12), ViewSettings(jitter=Jitter(brightness=0.4, saturation=0.3))),
    ((1, 16, 12), ViewSettings(jitter=Jitter(brightness=0.4, contrast=0.3, probability=0.7))),
    ((3, 16, 12), ViewSettings(grey=0.3)),
    ((3, 16, 12), ViewSettings(blur=Blur(kernel=5), finish=Finish(threshold=0.4))),
    (
        (3, 32, 32),
        ViewSettings(crop=Crop(scale=(0.6, 1.0), ratio=(0.75, 1.3333)), horizontal_flip=0.5, jitter=PAPER),
    ),
    (
        (3, 16, 12),
        ViewSettings(
            crop=CROP,
            horizontal_flip=0.5,
            jitter=PAPER.model_copy(update={"probability": 0.8}),
            grey=0.2,
            blur=Blur(kernel=3),
        ),
    ),
]
COUNT = 60


def images(shape: Shape) -> torch.Tensor:
    """Noise, and beside it black, white, one colour, two channels alike, and little chroma."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 256, (COUNT, *shape), generator=generator, dtype=torch.uint8)
    x[0], x[1] = 0, 255
    for number, (one, other) in enumerate(pairwise(range(shape[0])), start=2):
        x[number, one] = x[number, other]
    x[6] = 128 + x[6] % 2
    x[7] = x[7, :, :1, :1]
    return x


def kernel_of(views: Views) -> int:
    kernels = [operation.kernel for operation in views.operations if isinstance(operation, BlurOperation)]
    return kernels[0] if kernels else 0


@pytest.mark.parametrize(("shape", "settings"), CASES)
def test_views_are_those_of_the_formulas_bit_by_bit(shape: Shape, settings: ViewSettings) -> None:
    views, x_MCHW = Views(settings, shape), images(shape)
    generator = torch.Generator().manual_seed(3)
    x_BJCHW, draws = views.random_views(x_MCHW, 1, generator)
    slow_generator = torch.Generator().manual_seed(3)
    expected = slow_draws(settings, shape, COUNT, slow_generator)
    assert torch.equal(generator.get_state(), slow_generator.get_state())
    style, expected_style = views.style(draws), slow_style(expected, shape)
    assert style.keys() == expected_style.keys()
    for name, values in expected_style.items():
        assert torch.equal(style[name], values), name
    assert torch.equal(x_BJCHW[:, 0], slow_views(settings, x_MCHW, expected, kernel_of(views)))


def test_a_process_has_its_rows_of_the_draws_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, settings = CASES[-1]
    monkeypatch.setattr("simssl.training.views.pipeline.world_size", lambda: 2)
    monkeypatch.setattr("simssl.training.views.pipeline.own_rows", lambda values: values[COUNT:])
    views, x_MCHW = Views(settings, shape), images(shape)
    x_BJCHW, draws = views.random_views(x_MCHW, 1, torch.Generator().manual_seed(3))
    of_all = slow_draws(settings, shape, 2 * COUNT, torch.Generator().manual_seed(3))
    expected = {name: values[COUNT:] for name, values in of_all.items()}
    for name, values in slow_style(expected, shape).items():
        assert torch.equal(views.style(draws)[name], values), name
    assert torch.equal(x_BJCHW[:, 0], slow_views(settings, x_MCHW, expected, kernel_of(views)))


def test_a_crop_starts_within_the_image_whatever_is_drawn() -> None:
    """The largest number below 1 in float32, which no draw exceeds, times each number of places."""
    places_N = torch.arange(1, 100_000).float()
    largest = 1 - 2.0**-24
    assert torch.equal((places_N * torch.tensor(largest)).floor(), places_N - 1)


@pytest.mark.parametrize(
    ("settings", "source", "most"),
    [
        (ViewSettings(crop=CROP, finish=Finish(threshold=0.5)), 28, 32),
        (ViewSettings(crop=CROP, horizontal_flip=0.5, jitter=PAPER), 32, 122),
        (ViewSettings(size=9, crop=CROP, horizontal_flip=0.5), 16, 64),
    ],
    ids=["crop", "crop, flip, jitter", "shrunk"],
)
def test_views_are_made_by_few_operations(settings: ViewSettings, source: int, most: int) -> None:
    """A small step is bound by their number. So a change that needs more of them is a choice, and no accident."""
    shape = (3, source, source)
    views, x_MCHW, generator = Views(settings, shape), images(shape), torch.Generator()
    with Operations() as operations:
        views.random_views(x_MCHW, 1, generator)
    assert len(operations.names) <= most

"""Views of another size than the images: antialiased, and taken over by everything that asks for a shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision.transforms.functional as TF
from click.testing import Result
from PIL import Image
from torch import Tensor

from simssl.experiment.settings import Crop, Finish, ViewSettings
from simssl.training.views import Views
from simssl.training.views.resample import Boxes, resample


def images(count: int, shape: tuple[int, int, int]) -> Tensor:
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


SHAPES = [((3, 64, 64), 32), ((3, 50, 90), 64), ((1, 28, 28), 40), ((3, 33, 20), 7), ((1, 8, 8), 1), ((1, 9, 9), 9)]


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_crops_equal_torchvisions_with_antialias(shape: tuple[int, int, int], size: int) -> None:
    settings = ViewSettings(size=size, crop=Crop(scale=(0.05, 1.0)), horizontal_flip=0.5, vertical_flip=0.3)
    views, x = Views(settings, shape), images(100, shape)
    draws = views.draw(100, torch.Generator().manual_seed(0))
    result = views.apply(x, draws)
    assert result.shape[1:] == views.shape == (shape[0], size, size)
    for i, image in enumerate(x):
        box = [int(value) for value in draws["crop"][i]]
        expected = TF.resized_crop(image, *box, size=[size, size], antialias=True)
        expected = TF.hflip(expected) if draws["horizontal_flip"][i] else expected
        expected = TF.vflip(expected) if draws["vertical_flip"][i] else expected
        torch.testing.assert_close(result[i], expected.float() / 255, atol=1.5 / 255, rtol=0)


@pytest.mark.parametrize("target", [(7, 12), (12, 7), (30, 41), (7, 41)])
def test_boxes_equal_torchvisions_in_views_that_are_not_square(target: tuple[int, int]) -> None:
    boxes, x = Boxes((20, 30), target, (False, True)), images(3, (3, 20, 30)).float() / 255
    box_M4 = torch.tensor([[0, 0, 20, 30], [3, 5, 9, 20], [12, 1, 8, 3]])
    mirrored_M = torch.tensor([False, True, True])
    result = resample(x, boxes.samples(box_M4.float().T, [mirrored_M]))
    for i, (image, box) in enumerate(zip(x, box_M4.tolist(), strict=True)):
        expected = TF.resized_crop(image, *box, size=list(target), antialias=True)
        expected = TF.hflip(expected) if mirrored_M[i] else expected
        torch.testing.assert_close(result[i], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_plain_images_and_views_without_a_crop_are_resized(shape: tuple[int, int, int], size: int) -> None:
    views, x = Views(ViewSettings(size=size), shape), images(5, shape)
    expected = TF.resize(x, [size, size], antialias=True).float() / 255
    generator = torch.Generator().manual_seed(0)
    for result in (views.plain(x), *views.batch(x, ("random", "plain"), generator).unbind(1)):
        torch.testing.assert_close(result, expected, atol=1.5 / 255, rtol=0)


def test_shrinking_does_not_alias() -> None:
    """Stripes of one pixel become grey; without antialias they would stay black or white somewhere."""
    x = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    x[..., ::2] = 255
    views = Views(ViewSettings(size=16, crop=Crop(scale=(0.9, 1.0))), (1, 64, 64))
    seen = views.random_views(x, 50, torch.Generator().manual_seed(0))[0]
    inner = seen[..., 1:-1]
    assert (inner - 0.5).abs().max() < 0.15


def test_a_size_leaves_the_draws_as_they_are() -> None:
    crop = Crop(scale=(0.3, 1.0))
    draws = [
        Views(ViewSettings(size=size, crop=crop), (3, 40, 30)).draw(100, torch.Generator().manual_seed(0))
        for size in (None, 16)
    ]
    assert all(torch.equal(draws[0][name], draws[1][name]) for name in draws[0])


def test_finish_comes_after_the_size() -> None:
    views = Views(ViewSettings(size=5, finish=Finish(threshold=0.5)), (1, 8, 8))
    assert set(views.plain(images(20, (1, 8, 8))).unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("size", [6, 12])
def test_a_run_works_in_the_views_shape(size: int, simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    """Training, features, pictures and style: 8 x 8 images as 6 x 6 or 12 x 12 views."""
    evaluators = [{"name": "knn"}, {"name": "style_probe", "views": 2}, {"name": "reconstruction", "pictures": 3}]
    result = simssl("run", small(views={"size": size, "crop": {"scale": [0.5, 1.0]}}, evaluators=evaluators))
    assert result.exit_code == 0, result.stderr
    (picture,) = Path("runs").rglob("reconstruction/test.png")
    tile = size * (64 // size)
    assert Image.open(picture).size == (3 * (tile + 4) + 4, 2 * (tile + 4) + 4)
    weights = torch.load(next(Path("runs").rglob("checkpoint.pt")), weights_only=True)["objective"]
    assert any(weight.ndim == 2 and weight.shape[1] == size * size for weight in weights.values())


def test_jitter_on_a_grey_data_set_is_refused_before_training(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    result = simssl("run", small(views={"jitter": {"hue": 0.2}}))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith(
        "views.jitter.hue is for images of 3 colours, and these have 1 channel(s); leave it out"
    )
    assert not list(Path("runs").rglob("checkpoint.pt"))


def test_no_images_give_no_views() -> None:
    views = Views(ViewSettings(size=4, crop=Crop()), (1, 8, 8))
    assert views.random_views(images(0, (1, 8, 8)), 3, torch.Generator())[0].shape == (0, 3, 1, 4, 4)

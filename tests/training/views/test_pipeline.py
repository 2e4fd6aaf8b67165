"""Views against torchvision: exactly on given parameters, by statistics on drawn ones."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms.functional as TF
from torch import Tensor
from torchvision.transforms import RandomResizedCrop

from simssl.experiment.settings import Crop, Finish, ViewSettings
from simssl.training.views import Draws, Views


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, shape: tuple[int, int, int]) -> Tensor:
    return torch.randint(0, 256, (count, *shape), generator=generator(1), dtype=torch.uint8)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 24, 40), (1, 8, 8), (1, 1, 5)])
def test_equals_torchvision_on_the_same_parameters(shape: tuple[int, int, int]) -> None:
    settings = ViewSettings(crop=Crop(scale=(0.2, 1.0)), horizontal_flip=0.5, vertical_flip=0.3)
    views, x_NCHW = Views(settings, shape), images(200, shape)
    draws = views.draw(200, generator())
    result = views.apply(x_NCHW, draws)
    for i, image in enumerate(x_NCHW):
        torch.testing.assert_close(result[i], torchvision_view(image, draws, i), atol=1 / 255, rtol=0)


def torchvision_view(image: Tensor, draws: Draws, i: int) -> Tensor:
    box = [int(value) for value in draws["crop"][i]]
    view = TF.resized_crop(image, *box, size=list(image.shape[1:]), antialias=True)
    view = TF.hflip(view) if draws["horizontal_flip"][i] else view
    view = TF.vflip(view) if draws["vertical_flip"][i] else view
    return view.float() / 255


@pytest.mark.parametrize(
    ("shape", "crop"),
    [
        ((1, 28, 28), Crop(scale=(0.4, 1.0), ratio=(0.75, 1.3333))),
        ((1, 8, 8), Crop(scale=(0.4, 1.0))),
        ((3, 32, 32), Crop()),
        ((3, 20, 60), Crop(scale=(0.5, 1.0))),
    ],
)
def test_crops_are_distributed_as_torchvisions(shape: tuple[int, int, int], crop: Crop) -> None:
    """Means, deviations and correlations of top, left, height and width, over 20,000 draws each."""
    count = 20_000
    ours = Views(ViewSettings(crop=crop), shape).draw(count, generator())
    ours_N4 = ours["crop"].double()
    torch.manual_seed(0)
    image = torch.empty(shape)
    theirs = [RandomResizedCrop.get_params(image, list(crop.scale), list(crop.ratio)) for _ in range(count)]
    theirs_N4 = torch.tensor(theirs, dtype=torch.float64)
    tolerance_4 = 5 * theirs_N4.std(0) * (2 / count) ** 0.5 + 1e-9
    assert bool(((ours_N4.mean(0) - theirs_N4.mean(0)).abs() < tolerance_4).all())
    torch.testing.assert_close(ours_N4.std(0), theirs_N4.std(0), rtol=0.04, atol=1e-9)
    torch.testing.assert_close(ours_N4.T.cov(), theirs_N4.T.cov(), rtol=0.1, atol=0.06 * theirs_N4.var(0).max().item())
    for column in range(4):
        assert set(ours_N4[:, column].tolist()) <= set(range(max(shape) + 1))


def test_a_crop_that_never_fits_is_central_as_torchvisions() -> None:
    crop, shape = Crop(scale=(1.0, 1.0), ratio=(3.0, 4.0)), (1, 20, 30)
    draws = Views(ViewSettings(crop=crop), shape).draw(5, generator())
    expected = RandomResizedCrop.get_params(torch.empty(shape), list(crop.scale), list(crop.ratio))
    assert draws["crop"].tolist() == [list(expected)] * 5


def test_flips_are_drawn_with_their_probability() -> None:
    draws = Views(ViewSettings(horizontal_flip=0.5, vertical_flip=0.1), (1, 8, 8)).draw(20_000, generator())
    assert draws["horizontal_flip"].double().mean().item() == pytest.approx(0.5, abs=0.02)
    assert draws["vertical_flip"].double().mean().item() == pytest.approx(0.1, abs=0.012)
    assert torch.corrcoef(torch.stack([d.double() for d in draws.values()]))[0, 1].abs() < 0.03


def test_a_flip_alone_is_exact() -> None:
    x = images(4, (3, 6, 6))
    views = Views(ViewSettings(horizontal_flip=1.0), (3, 6, 6))
    torch.testing.assert_close(views.apply(x, views.draw(4, generator())), x.flip(-1).float() / 255, atol=1e-6, rtol=0)


def test_each_view_of_each_image_has_its_own_draws() -> None:
    views = Views(ViewSettings(crop=Crop(scale=(0.4, 1.0))), (1, 28, 28))
    same = images(1, (1, 28, 28)).expand(8, 1, 28, 28)
    x_BJCHW, draws = views.random_views(same, 3, generator())
    assert x_BJCHW.shape == (8, 3, 1, 28, 28)
    assert len(x_BJCHW.flatten(0, 1).unique(dim=0)) > 20
    assert all(len(values) == 24 for values in draws.values())


def test_the_generator_decides_everything() -> None:
    views, x = Views(ViewSettings(crop=Crop(), horizontal_flip=0.5), (3, 16, 16)), images(5, (3, 16, 16))
    before = torch.get_rng_state()
    first, second, other = (views.random_views(x, 2, generator(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_plain_views_stand_where_they_are_asked_for() -> None:
    views, x = Views(ViewSettings(crop=Crop(scale=(0.3, 0.5))), (1, 8, 8)), images(3, (1, 8, 8))
    x_BJCHW = views.batch(x, ("plain", "random"), generator())
    torch.testing.assert_close(x_BJCHW[:, 0], x.float() / 255)
    assert not torch.allclose(x_BJCHW[:, 1], x.float() / 255)


def test_finish_comes_last_and_is_applied_to_plain_images_too() -> None:
    views, x = Views(ViewSettings(crop=Crop(), finish=Finish(threshold=0.5)), (1, 8, 8)), images(5, (1, 8, 8))
    for result in (views.plain(x), views.random_views(x, 2, generator())[0]):
        assert set(result.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(views.plain(x), (x > 127.5).float())


def test_style_is_measured_in_the_view_as_seen() -> None:
    """A bright left half: where the crop lies to the left, a mirrored view is bright on its right."""
    views = Views(ViewSettings(crop=Crop(scale=(0.3, 0.6)), horizontal_flip=0.5), (1, 16, 16))
    x = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    x[..., :8] = 255
    seen_BJCHW, draws = views.random_views(x, 500, generator())
    style = views.style(draws)
    right_minus_left = seen_BJCHW[0, :, 0, :, 8:].mean((1, 2)) - seen_BJCHW[0, :, 0, :, :8].mean((1, 2))
    flip = style["horizontal_flip"].bool()
    whole = seen_BJCHW[0].flatten(1).std(1) == 0
    assert bool((right_minus_left[flip & ~whole] >= 0).all())
    unmirrored = torch.where(flip, 1 - style["crop_centre_x"], style["crop_centre_x"])
    brightness = seen_BJCHW[0].mean((1, 2, 3))
    assert torch.corrcoef(torch.stack([unmirrored, brightness]))[0, 1] < -0.9


@pytest.mark.parametrize(
    ("settings", "random", "names"),
    [
        (ViewSettings(), False, set()),
        (ViewSettings(horizontal_flip=1.0), False, {"horizontal_flip"}),
        (ViewSettings(horizontal_flip=0.5), True, {"horizontal_flip"}),
        (
            ViewSettings(crop=Crop()),
            True,
            {"crop_centre_x", "crop_centre_y", "crop_width", "crop_height"},
        ),
    ],
)
def test_what_can_vary(settings: ViewSettings, random: bool, names: set[str]) -> None:
    views = Views(settings, (1, 8, 8))
    assert views.random is random
    assert set(views.style(views.draw(3, generator()))) == names

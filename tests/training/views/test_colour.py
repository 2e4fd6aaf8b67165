"""Jitter, grey and blur against torchvision: exactly on given parameters, by statistics on drawn ones."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
import torchvision.transforms.functional as TF
from torch import Tensor
from torchvision.transforms import ColorJitter, GaussianBlur

from simssl.errors import UserError
from simssl.experiment.settings import Blur, Crop, Jitter, Solarize, ViewSettings
from simssl.testing.host_sync import refuse_host_synchronisation
from simssl.training.views import Draws, Views
from simssl.training.views.colour import BLENDS, blend, luma, rotate_hue

PAPER = Jitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2)
EVERYTHING = ViewSettings(
    crop=Crop(scale=(0.3, 1.0)),
    horizontal_flip=0.5,
    jitter=PAPER.model_copy(update={"probability": 0.8}),
    grey=0.2,
    blur=Blur(kernel=5),
)
ADJUST = [TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, shape: tuple[int, int, int] = (3, 16, 12)) -> Tensor:
    """Noise, and beside it what noise never is: black, white, one colour, two channels alike, little chroma."""
    x = torch.randint(0, 256, (count, *shape), generator=generator(1), dtype=torch.uint8)
    if shape[0] == 3 and count >= 10:
        x[0], x[1], x[2] = 0, 255, torch.tensor([200, 30, 90], dtype=torch.uint8)[:, None, None]
        x[3, 1], x[4, 2], x[5, 2] = x[3, 0], x[4, 1], x[5, 0]
        x[6] = 128 + x[6] % 2
    return x


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (0, 3), (1, 1), (1, 3), (2, 3)])
@pytest.mark.parametrize("factor", [0.0, 0.2, 1.0, 1.37, 1.8, 4.0])
def test_each_blend_equals_torchvisions(kind: int, factor: float, channels: int) -> None:
    """On uint8 torchvision rounds grey down, what the factor enlarges, and then the result."""
    x = images(20, (channels, 16, 12))
    of_all = (
        torch.full((20, 1, 1, 1), value) for value in (factor, BLENDS[kind] == "contrast", BLENDS[kind] == "saturation")
    )
    result = blend(x.float() / 255, *of_all)
    torch.testing.assert_close(result, ADJUST[kind](x.float() / 255, factor), atol=1e-6, rtol=0)
    rounding = 1.01 + (abs(1 - factor) if BLENDS[kind] != "brightness" and channels == 3 else 0)
    torch.testing.assert_close(result * 255, ADJUST[kind](x, factor).float(), atol=rounding, rtol=0)


@pytest.mark.parametrize("rotation", [-0.5, -0.2, -0.01, 0.0, 0.13, 0.2, 0.5])
def test_the_rotation_of_the_hue_equals_torchvisions(rotation: float) -> None:
    x = images(20)
    result = rotate_hue(x.float() / 255, torch.full((20,), rotation))
    torch.testing.assert_close(result, TF.adjust_hue(x.float() / 255, rotation), atol=1e-5, rtol=0)
    torch.testing.assert_close(result, TF.adjust_hue(x, rotation).float() / 255, atol=1.5 / 255, rtol=0)


def test_grey_equals_torchvisions() -> None:
    x = images(20)
    result = Views(ViewSettings(grey=1.0), (3, 16, 12)).random_views(x, 1, generator())[0][:, 0]
    torch.testing.assert_close(result, TF.rgb_to_grayscale(x, 3).float() / 255, atol=1.5 / 255, rtol=0)


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("shape", [(1, 9, 8), (3, 16, 12)])
def test_blur_equals_torchvisions(kernel: int, shape: tuple[int, int, int]) -> None:
    views, x = Views(ViewSettings(blur=Blur(kernel=kernel, probability=0.7)), shape), images(30, shape)
    draws = views.draw(30, generator())
    result = views.apply(x, draws)
    for image, sigma, view in zip(x, draws["blur_sigma"].tolist(), result, strict=True):
        expected = TF.gaussian_blur(image, [kernel, kernel], [sigma, sigma]) if sigma else image
        torch.testing.assert_close(view, expected.float() / 255, atol=1.5 / 255, rtol=0)
    unblurred = draws["blur_sigma"] == 0
    assert unblurred.any()
    assert torch.equal(result[unblurred], x[unblurred].float() / 255)


@pytest.mark.parametrize(("side", "kernel"), [(32, 3), (64, 7), (96, 9), (224, 23)])
def test_the_kernel_is_simclrs_tenth_of_the_height(side: int, kernel: int) -> None:
    (operation,) = Views(ViewSettings(blur=Blur()), (3, side, side)).operations
    assert operation.kernel == kernel
    assert operation.prepare({"blur_sigma": torch.ones(1)})["kernel"].shape == (1, kernel)


def test_all_together_equal_torchvisions_in_the_drawn_order() -> None:
    views, x = Views(EVERYTHING, (3, 16, 12)), images(300)
    draws = views.draw(300, generator())
    result = views.apply(x, draws)
    for i, image in enumerate(x):
        torch.testing.assert_close(result[i], torchvision_view(image.float() / 255, draws, i), atol=2e-5, rtol=0)


def torchvision_view(view: Tensor, draws: Draws, i: int) -> Tensor:
    one = {name: values[i].tolist() for name, values in draws.items()}
    one |= dict(zip((*BLENDS, "hue"), one["jitter"], strict=True))
    box = [int(value) for value in one["crop"]]
    view = TF.resized_crop(view, *box, size=list(view.shape[1:]), antialias=True)
    view = TF.hflip(view) if one["horizontal_flip"] else view
    for step in range(4):
        if step == one["blends_before_hue"]:
            view = TF.adjust_hue(view, one["hue"])
        if step < 3:
            kind = one["blend_order"][step]
            view = ADJUST[kind](view, one[BLENDS[kind]])
    view = TF.rgb_to_grayscale(view, 3) if one["grey"] else view
    return TF.gaussian_blur(view, [5, 5], [one["blur_sigma"]] * 2) if one["blur_sigma"] else view


@pytest.mark.parametrize("cache", [1, 3 * 16 * 12 * 7])
def test_how_many_views_are_worked_on_at_once_changes_nothing(cache: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in (EVERYTHING, EVERYTHING.model_copy(update={"size": 9})):
        views, x = Views(settings, (3, 16, 12)), images(40)
        draws = views.draw(40, generator())
        expected = views.apply(x, draws)
        with monkeypatch.context() as patch:
            patch.setattr("simssl.training.views.pipeline.CACHE", cache)
            assert torch.equal(views.apply(x, draws), expected)


def test_views_leave_their_images_and_draws_as_they_are() -> None:
    views, x = Views(EVERYTHING, (3, 16, 12)), images(20)
    draws = views.draw(20, generator())
    views.apply(x, draws)
    assert torch.equal(x, images(20))
    assert all(torch.equal(values, draws[name]) for name, values in views.draw(20, generator()).items())


def test_factors_are_distributed_as_torchvisions() -> None:
    """Ranges, means and deviations over 20,000 draws, where a strength above 1 cuts the range at 0."""
    settings = Jitter(brightness=0.4, contrast=1.5, saturation=0.8, hue=0.2)
    views = Views(ViewSettings(jitter=settings), (3, 8, 8))
    draws = views.style(views.draw(20_000, generator()))
    theirs = ColorJitter(0.4, 1.5, 0.8, 0.2)
    names = ("brightness", "contrast", "saturation", "hue")
    for name in names:
        low, high = getattr(theirs, name)
        values, width = draws[name].double(), high - low
        assert low <= values.min() < low + 0.001 * width
        assert high - 0.001 * width < values.max() <= high
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.012 * width)
        assert values.std().item() == pytest.approx(width / 12**0.5, rel=0.03)
    correlations = torch.corrcoef(torch.stack([draws[name].double() for name in names]))
    assert bool(((correlations - torch.eye(4)).abs() < 0.035).all())


def test_every_order_is_equally_probable_and_independent_of_the_factors() -> None:
    """torchvision draws one of 24 permutations; 24,000 draws give each about 1,000 times (deviation 31)."""
    draws = Views(ViewSettings(jitter=PAPER), (3, 8, 8)).draw(24_000, generator())
    orders = []
    for blends, before in zip(draws["blend_order"].tolist(), draws["blends_before_hue"].tolist(), strict=True):
        orders.append((*blends[:before], 3, *blends[before:]))
    counts = {order: orders.count(order) for order in permutations(range(4))}
    assert sum(counts.values()) == 24_000
    assert all(abs(count - 1000) < 5 * 31 for count in counts.values())
    first = draws["blend_order"][:, 0] == 0
    brightness_M = draws["jitter"][:, 0]
    assert brightness_M[first].mean().item() == pytest.approx(1, abs=0.03)


def test_an_operation_happens_with_its_probability_or_leaves_the_view_as_it_is() -> None:
    views = Views(EVERYTHING, (3, 16, 12))
    draws = views.draw(20_000, generator())
    style = views.style(draws)
    jittered, grey, blurred = style["brightness"] != 1, draws["grey"], draws["blur_sigma"] > 0
    for happened, probability in ((jittered, 0.8), (grey, 0.2), (blurred, 0.5)):
        assert happened.double().mean().item() == pytest.approx(probability, abs=0.015)
    assert torch.corrcoef(torch.stack([jittered.double(), grey.double(), blurred.double()])).triu(1).abs().max() < 0.03
    for name, neutral in (("contrast", 1), ("saturation", 1), ("hue", 0)):
        assert torch.equal(style[name] == neutral, ~jittered)
    sigmas = draws["blur_sigma"][blurred].double()
    theirs = torch.tensor([GaussianBlur.get_params(0.1, 2.0) for _ in range(10_000)])
    assert sigmas.mean().item() == pytest.approx(theirs.mean().item(), abs=0.04)
    assert sigmas.std().item() == pytest.approx(theirs.std().item(), rel=0.04)


def test_a_view_that_is_not_jittered_is_the_image() -> None:
    x = images(40)
    views = Views(ViewSettings(jitter=PAPER.model_copy(update={"probability": 0.5})), (3, 16, 12))
    draws = views.draw(40, generator())
    unchanged = (views.apply(x, draws) - x.float() / 255).abs().amax((1, 2, 3)) < 1e-6
    unjittered = draws["jitter"][:, 0] == 1
    assert bool(unchanged[unjittered].all())
    assert 0 < int(unjittered.sum()) < 40


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_one_strength_alone_draws_and_does_nothing_else(name: str) -> None:
    views, x = Views(ViewSettings(jitter=Jitter(**{name: 0.5})), (3, 16, 12)), images(20)
    draws = views.draw(20, generator())
    style = views.style(draws)
    assert set(style) == {name}
    adjust = getattr(TF, f"adjust_{name}")
    expected = torch.stack([adjust(i, v) for i, v in zip(x.float() / 255, style[name].tolist(), strict=True)])
    torch.testing.assert_close(views.apply(x, draws), expected, atol=1e-5, rtol=0)


def test_style_has_what_can_be_seen_and_not_the_order() -> None:
    views = Views(EVERYTHING, (3, 16, 12))
    draws = views.draw(50, generator())
    style = views.style(draws)
    crop = {"crop_centre_x", "crop_centre_y", "crop_width", "crop_height", "horizontal_flip"}
    assert set(style) == crop | {"brightness", "contrast", "saturation", "hue", "grey", "blur_sigma"}
    assert all(values.shape == (50,) and values.dtype == torch.float32 for values in style.values())
    for number, name in enumerate(("brightness", "contrast", "saturation", "hue")):
        assert torch.equal(style[name], draws["jitter"][:, number])
    assert torch.equal(style["blur_sigma"], draws["blur_sigma"])


def test_the_brightness_that_is_told_is_that_of_the_view() -> None:
    views = Views(ViewSettings(jitter=Jitter(brightness=0.9)), (3, 8, 8))
    x_BJCHW, draws = views.random_views(images(1, (3, 8, 8)) // 2, 200, generator())
    seen = torch.stack([x_BJCHW.mean((0, 2, 3, 4)), views.style(draws)["brightness"]])
    assert torch.corrcoef(seen)[0, 1] > 0.999


@pytest.mark.parametrize(
    ("settings", "random"),
    [
        (ViewSettings(jitter=PAPER), True),
        (ViewSettings(jitter=PAPER.model_copy(update={"probability": 0.0})), False),
        (ViewSettings(grey=0.2), True),
        (ViewSettings(grey=1.0), False),
        (ViewSettings(blur=Blur()), True),
        (ViewSettings(blur=Blur(sigma=(1.0, 1.0), probability=1.0)), False),
        (ViewSettings(blur=Blur(sigma=(1.0, 1.0), probability=0.5)), True),
        (ViewSettings(blur=Blur(probability=0.0)), False),
        (ViewSettings(size=16), False),
    ],
)
def test_what_can_vary(settings: ViewSettings, random: bool) -> None:
    views, x = Views(settings, (3, 32, 32)), images(1, (3, 32, 32))
    assert views.random is random
    seen_JCHW = views.random_views(x, 50, generator())[0][0]
    assert (len(seen_JCHW.unique(dim=0)) > 1) is random


def test_views_stay_in_the_unit_interval_and_the_host_never_waits() -> None:
    views, x = Views(EVERYTHING.model_copy(update={"size": 9}), (3, 16, 12)), images(20)
    g = generator()
    with refuse_host_synchronisation():
        seen = views.batch(x, ("random", "plain", "random"), g)
    assert seen.shape == (20, 3, 3, 9, 9)
    assert 0 <= seen.min() < seen.max() <= 1


def test_the_generator_decides_everything() -> None:
    views, x, before = Views(EVERYTHING, (3, 16, 12)), images(5), torch.get_rng_state()
    first, second, other = (views.random_views(x, 2, generator(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_grey_images_are_jittered_in_brightness_and_contrast() -> None:
    views, x = Views(ViewSettings(jitter=Jitter(brightness=0.5, contrast=0.5)), (1, 8, 8)), images(9, (1, 8, 8))
    assert views.random_views(x, 2, generator())[0].shape == (9, 2, 1, 8, 8)
    assert torch.equal(luma(x), x)


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        (ViewSettings(jitter=PAPER), (1, 28, 28), "views.jitter.saturation is for images of 3 colours"),
        (ViewSettings(jitter=Jitter(hue=0.1)), (1, 28, 28), "views.jitter.hue is for images of 3 colours"),
        (ViewSettings(grey=0.2), (1, 28, 28), "views.grey is for images of 3 colours, and these have 1"),
        (ViewSettings(jitter=Jitter(contrast=0.1)), (2, 28, 28), "views.jitter is for images of 1 or 3 channels"),
        (ViewSettings(blur=Blur()), (3, 19, 32), "views.blur.kernel is missing: a tenth of views of 19 pixels"),
        (ViewSettings(blur=Blur(kernel=17)), (3, 32, 8), "views.blur.kernel is 17, too large for views of 32 x 8"),
    ],
)
def test_settings_that_do_not_fit_the_images(settings: ViewSettings, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Views(settings, shape)


@pytest.mark.cuda
@pytest.mark.parametrize("size", [None, 9])
def test_cuda_draws_nothing_else_from_the_same_parameters(size: int | None) -> None:
    views, x = Views(EVERYTHING.model_copy(update={"size": size}), (3, 16, 12)), images(50)
    draws = views.draw(50, generator())
    on_cuda = views.apply(x.cuda(), {name: values.cuda() for name, values in draws.items()})
    torch.testing.assert_close(on_cuda.cpu(), views.apply(x, draws), atol=1e-4, rtol=0)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 1.0])
def test_solarize_equals_torchvisions(threshold: float) -> None:
    x = images(20)
    views = Views(ViewSettings(solarize=Solarize(threshold=threshold, probability=0.6)), (3, 16, 12))
    draws = views.draw(20, generator())
    result = views.apply(x, draws)
    assert draws["solarize"].unique().tolist() == [False, True]
    for image, is_solarized, view in zip(x.float() / 255, draws["solarize"].tolist(), result, strict=True):
        expected = TF.solarize(image, threshold) if is_solarized else image
        torch.testing.assert_close(view, expected, atol=1e-6, rtol=0)
    assert views.style(draws)["solarize"].tolist() == draws["solarize"].float().tolist()

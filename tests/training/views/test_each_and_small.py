"""Views of a method that differ from one another, and small views beside the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from pydantic import Field
from simssl_plugins.objectives.dino import Dino
from simssl_plugins.objectives.lejepa import LeJepa
from simssl_plugins.objectives.swav import SwAV
from torch import Tensor

from simssl.api import Objective, views_of
from simssl.errors import ContractError, UserError
from simssl.experiment.settings import ViewSettings
from simssl.testing import CHECKS, DoesNotApply, run_check
from simssl.training.views import Views

Command = Callable[..., Result]
Write = Callable[..., Path]

CROP = {"scale": [0.25, 1.0]}
INVERT = {"threshold": 0.001, "probability": 1.0}
"""Always, and all pixels that are not black."""


def views_with(shape: tuple[int, int, int] = (3, 16, 16), **settings: object) -> Views:
    return Views(ViewSettings.model_validate_json(json.dumps(settings)), shape)


def images(count: int, shape: tuple[int, int, int] = (3, 16, 16)) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_each_view_is_drawn_by_its_own_settings() -> None:
    """The first is always solarised, the second always mirrored: from the section, which the first leaves."""
    views = views_with(
        horizontal_flip=1.0,
        each=[{"solarize": INVERT, "horizontal_flip": 0.0}, {}],
    )
    x = images(5).clamp(min=1)
    x_BJCHW = views.batch(x, ("random", "random"), generator())
    torch.testing.assert_close(x_BJCHW[:, 0], 1 - x.float() / 255)
    torch.testing.assert_close(x_BJCHW[:, 1], x.flip(-1).float() / 255, atol=1e-6, rtol=0)


def test_plain_views_stand_between_views_that_differ() -> None:
    views = views_with(each=[{"solarize": INVERT}, {}])
    x = images(5).clamp(min=1)
    x_BJCHW = views.batch(x, ("plain", "random", "random"), generator())
    bright_BCHW = x.float() / 255
    torch.testing.assert_close(x_BJCHW, torch.stack([bright_BCHW, 1 - bright_BCHW, bright_BCHW], dim=1))


def test_equal_settings_of_each_are_the_sections_distribution() -> None:
    """The mean over many draws of one image is the same."""
    alike = views_with(crop=CROP)
    each = views_with(crop=CROP, each=[{}, {}])
    x = images(1).expand(4000, -1, -1, -1)
    means = [views.batch(x, ("random", "random"), generator()).mean((0, 1)) for views in (alike, each)]
    torch.testing.assert_close(*means, atol=0.03, rtol=0)


def test_what_is_left_out_is_filled_from_the_section_and_written_whole() -> None:
    text = json.dumps(
        {
            "crop": CROP,
            "solarize": {},
            "each": [{"blur": {}}, {"solarize": None, "grey": 1}],
            "small": {"size": 8, "crop": {"scale": [0.05, 0.25]}},
        }
    )
    settings = ViewSettings.model_validate_json(text)
    first, second = settings.each or ()
    assert first.crop == second.crop == settings.crop
    assert first.solarize == settings.solarize
    assert second.solarize is None
    assert (first.grey, second.grey) == (0, 1)
    assert settings.small is not None
    assert settings.small.crop != settings.crop
    assert settings.small.solarize == settings.solarize
    written = settings.model_dump(mode="json")
    again = ViewSettings.model_validate_json(json.dumps(written))
    assert again == settings
    assert again.model_dump(mode="json") == written


def test_settings_of_before_are_written_as_before() -> None:
    assert {"each", "small", "solarize"}.isdisjoint(ViewSettings().model_dump(mode="json"))


def test_small_views_come_beside_the_others() -> None:
    """The crops of the small ones are of their own scale: small parts of an image whose left half is bright."""
    views = views_with(crop={"scale": [1.0, 1.0]}, small={"size": 4, "crop": {"scale": [0.05, 0.1]}})
    half = torch.zeros(200, 3, 16, 16, dtype=torch.uint8)
    half[..., :8] = 255
    x_BJCHW, small_BKCHW = views.batch(half, ("random", "random", *["small"] * 3), generator())
    assert x_BJCHW.shape == (200, 2, 3, 16, 16)
    assert small_BKCHW.shape == (200, 3, 3, 4, 4)
    is_of_one_half = small_BKCHW.flatten(2).std(2) == 0
    assert 0.5 < is_of_one_half.float().mean() < 0.95


def test_the_large_views_are_those_without_small_ones() -> None:
    x = images(4)
    with_small = views_with(crop=CROP, small={"size": 8}).batch(x, ("random", "random", "small"), generator())
    without = views_with(crop=CROP).batch(x, ("random", "random"), generator())
    assert torch.equal(with_small[0], without)


def test_small_views_are_smaller() -> None:
    with pytest.raises(UserError, match=r"views\.small\.size is 16, and the other views are 16 x 16; make it smaller"):
        views_with(small={"size": 16})


def test_errors_name_the_view_that_they_are_of() -> None:
    with pytest.raises(UserError, match=r"^views\.each\[1\]\.grey is for images of 3 colours"):
        views_with((1, 16, 16), each=[{}, {"grey": 0.2}])
    with pytest.raises(UserError, match=r"^views\.small\.blur\.kernel is missing"):
        views_with((3, 40, 40), blur={}, small={"size": 8})


@pytest.mark.parametrize("kinds", [("small",), ("small", "random"), ("random", "tiny")])
def test_small_views_are_the_last(kinds: tuple[str, ...]) -> None:
    class Method(Objective):
        views = kinds

    with pytest.raises(ContractError, match="small"):
        views_of(Method, None)


def with_small_views(method: type[Any]) -> type[Objective]:
    """The method, with three small views where nothing is set."""

    class Params(method.Params):  # type: ignore[misc, name-defined]
        small_views: int = Field(3, ge=0)
        "Small views of each image."
        directions: int = Field(8, ge=1)
        "Fewer of LeJEPA's, for speed."

    return type(f"{method.__name__}OfSmallViews", (method,), {"Params": Params, "__doc__": method.__doc__})


@pytest.mark.parametrize("method", [Dino, SwAV, LeJepa])
@pytest.mark.parametrize("check", CHECKS["objective"])
def test_conformance_with_small_views(check: str, method: type[Any], tmp_path: Path) -> None:
    with suppress(DoesNotApply):
        run_check("objective", check, with_small_views(method), tmp_path)


SMALL_VIEWS: dict[str, Any] = {
    "views": {"crop": CROP, "small": {"size": 4, "crop": {"scale": [0.05, 0.25]}}},
    "backbone": {"name": "timm", "model": "test_resnet"},
    "objective": {"name": "dino", "small_views": 2, "K": 8},
    "training": {"views": 64, "batch_views": 32},
}


def test_a_run_with_small_views(simssl: Command, small: Write) -> None:
    result = simssl("run", small(**SMALL_VIEWS, evaluators=[{"name": "knn"}]))
    assert result.exit_code == 0, result.stderr
    assert "knn" in simssl("report", "runs").stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"views": {"crop": CROP}}, "'dino' takes 2 small views; write small: {size: ..."),
        ({"objective": {"name": "dino"}}, "'dino' takes no small views; leave 'small' out"),
        ({"objective": {"name": "simclr"}}, "'simclr' takes no small views"),
        (
            {"objective": {"name": "simclr"}, "views": {"each": [{"crop": CROP}]}},
            "'each' must have an entry for each of the 2 random views of 'simclr', not 1",
        ),
    ],
)
def test_mistakes_are_told_with_their_line(changes: dict[str, Any], words: str, simssl: Command, small: Write) -> None:
    result = simssl("check", small(**SMALL_VIEWS | changes))
    output = " ".join(result.stderr.split())
    assert result.exit_code == 2
    assert words in output
    assert "small.yaml:" in output


def test_a_backbone_of_one_size_refuses_small_views(simssl: Command, small: Write) -> None:
    result = simssl("run", small(**SMALL_VIEWS | {"backbone": {"name": "mlp"}}))
    output = " ".join(result.stderr.split())
    assert "the backbone 'mlp' takes images of 8 x 8 pixels, and not the small views of 4 x 4" in output

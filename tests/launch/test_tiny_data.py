"""What too few images cannot do is said before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

Run = Callable[..., Result]
Write = Callable[..., Path]


def pictures(train: int, test: int, val: int = 0) -> dict[str, object]:
    """A data set of so many images of two classes."""
    random = np.random.RandomState(0)
    for split, number in (("train", train), ("test", test), ("val", val)):
        for i in range(number):
            file = Path("data/photos") / split / "ab"[i % 2] / f"{i:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.randint(0, 256, (8, 8), dtype=np.uint8)).save(file)
    return {"name": "image_folder", "path": "photos", "size": 8}


CONVNET = {"name": "convnet", "widths": [4, 8, 8]}
SINGLE = "a step has only one image, of which batch norm has one value of a channel"


@pytest.mark.parametrize(
    ("images", "evaluator", "said"),
    [
        (
            (22, 4),
            {"name": "knn", "k": [1, 21]},
            "'knn': k is 21, and 20 images to fit on have a 'class'; set 'k' to 20",
        ),
        ((18, 4, 14), {"name": "knn"}, "'knn': k is 20, and 18 images to fit on have a 'class'; set 'k' to 18 or less"),
        ((6, 4), {"name": "knn", "k": 7}, "'knn': k is 7, and 6 images of train have a 'class'; set 'k' to 6 or less"),
        (
            (1, 1),
            {"name": "style_probe"},
            "'style_probe': 0 training images are left to fit on, and at least 1 image is",
        ),
        ((1, 1), {"name": "decoder"}, "'decoder': 0 training images are left to fit on, and at least 2 images are"),
        ((2, 2), {"name": "decoder"}, "'decoder': 1 training images are left to fit on, and at least 2 images are"),
    ],
)
def test_an_evaluator_says_so(
    images: tuple[int, ...], evaluator: dict[str, object], said: str, simssl: Run, small: Write
) -> None:
    changes = {"objective": {"name": "random"}, "evaluators": [evaluator]}
    result = simssl("run", small(dataset=pictures(*images), **changes))
    assert result.exit_code == 2, result.stderr
    assert said in result.stderr
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("images", "evaluator"),
    [
        ((23, 4), {"name": "knn", "k": [1, 21]}),
        ((6, 4), {"name": "knn", "k": 6}),
        ((2, 2), {"name": "style_probe"}),
        ((3, 2), {"name": "decoder", "epochs": 1}),
    ],
)
def test_as_few_as_will_do(images: tuple[int, ...], evaluator: dict[str, object], simssl: Run, small: Write) -> None:
    changes = {"objective": {"name": "random"}, "evaluators": [evaluator], "backbone": CONVNET}
    result = simssl("run", small(dataset=pictures(*images), **changes))
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("objective", ["vae", "instance_discrimination"])
def test_batch_norm_over_one_value_is_said(objective: str, simssl: Run, small: Write) -> None:
    training = {"views": 4, "batch_views": 1}
    changes = {"objective": {"name": objective}, "backbone": CONVNET, "training": training, "evaluators": []}
    result = simssl("run", small(dataset=pictures(2, 2), **changes))
    assert result.exit_code == 2, result.stderr
    assert f"objective '{objective}': {SINGLE}" in result.stderr
    assert "make training.batch_views larger" in result.stderr
    assert not Path("runs").exists()


def test_a_step_of_one_image_is_right_where_maps_are_larger(simssl: Run, small: Write) -> None:
    training = {"views": 4, "batch_views": 1}
    backbone = {"name": "convnet", "widths": [4, 8]}
    changes = {"objective": {"name": "vae"}, "backbone": backbone, "training": training, "evaluators": []}
    result = simssl("run", small(dataset=pictures(2, 2), **changes))
    assert result.exit_code == 0, result.stderr

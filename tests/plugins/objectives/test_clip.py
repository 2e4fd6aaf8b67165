"""CLIP against plain loops, and its temperature."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from references import assert_same_gradient, build, captions, loss, views
from torch import Tensor

from simssl.testing.fixtures import tiny_run
from simssl.testing.steps import train_steps


@pytest.mark.parametrize("modality", ["caption", "attributes"])
def test_the_loss_and_its_gradient_are_those_of_plain_loops(modality: str) -> None:
    objective = build("clip", modality=modality, projection=5)
    x_BJCHW = views(8, 1)
    terms = loss(objective, x_BJCHW)
    ours = terms.loss["info_nce"]
    assert ours.dtype == torch.float64

    image_BP = objective.layers(x_BJCHW[:, 0])["projection"]
    caption_BP = objective.encode_modality(modality, captions(8)[modality])
    scale = objective.log_scale.exp()
    total = torch.zeros((), dtype=torch.float64)
    for i in range(8):
        to_captions = torch.stack([scale * cosine(image_BP[i], caption_BP[k]) for k in range(8)])
        to_images = torch.stack([scale * cosine(image_BP[k], caption_BP[i]) for k in range(8)])
        total = total - (to_captions[i] - to_captions.exp().sum().log()) / 16
        total = total - (to_images[i] - to_images.exp().sum().log()) / 16
    torch.testing.assert_close(ours, total)
    assert_same_gradient(objective, ours, total)


def cosine(a_P: Tensor, b_P: Tensor) -> Tensor:
    return (a_P @ b_P) / (a_P.norm() * b_P.norm())


def test_the_scale_begins_at_the_papers_and_never_exceeds_100(tmp_path: Path) -> None:
    objective = build("clip")
    assert objective.log_scale.item() == pytest.approx(math.log(1 / 0.07))
    built = tiny_run(type(objective), images=24)
    with torch.no_grad():
        built.objective.log_scale.fill_(20.0)
    train_steps(built, tmp_path, 1)
    assert built.objective.log_scale.item() == pytest.approx(math.log(100))


def test_the_scale_is_not_decayed() -> None:
    decayed, not_decayed = build("clip").parameter_groups()
    assert "weight_decay" not in decayed
    assert not_decayed["weight_decay"] == 0
    assert len(not_decayed["params"]) == 1

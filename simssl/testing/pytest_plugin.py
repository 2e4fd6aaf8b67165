"""Fixtures for the tests of a plugin: small data and small networks. A test module or a conftest.py takes them with

pytest_plugins = ["simssl.testing.pytest_plugin"]
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from simssl.api import Backbone, Context, Data, Objective, Subject
from simssl.evaluation.subject import FrozenSubject
from simssl.params import Params
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import TinyBackbone, TinyObjective, tiny_context, tiny_data, tiny_run


@pytest.fixture
def small_data() -> Data:
    """96 training and 48 test images of 1 x 8 x 8: a bright square in one of four corners, the target `corner`."""
    return tiny_data()


@pytest.fixture
def small_backbone() -> Backbone:
    """Networks with one hidden layer of 16 units."""
    return TinyBackbone(Params())


@pytest.fixture
def small_context() -> Context:
    """The context that builds an objective: the small networks, four latent dimensions, six images a step."""
    torch.manual_seed(0)
    return tiny_context()


@pytest.fixture
def small_batch() -> Callable[[int], tuple[Tensor, Tensor, torch.Generator]]:
    """`small_batch(J)` returns what `forward` takes: J cropped and mirrored views (6, J, 1, 8, 8) of 0 and 1 alone, the
    images' indices (6,), and a generator."""

    def draw(J: int) -> tuple[Tensor, Tensor, torch.Generator]:
        built = tiny_run()
        generator = built.generator
        order_N = torch.randperm(len(built.data.train), generator=generator)
        index_B = order_N[:6]
        images_BCHW = built.data.train.images[index_B]
        x_BJCHW, _ = built.views.random_views(images_BCHW, J, generator)
        return x_BJCHW, index_B, generator

    return draw


@pytest.fixture
def small_subject(tmp_path: Path) -> Callable[..., Subject]:
    """`small_subject()` returns what an evaluator measures: a variational autoencoder, untrained, on the small data.
    `small_subject(MyObjective)` takes that method instead, at the defaults of its parameters."""

    def freeze(objective: type[Objective] = TinyObjective) -> Subject:
        built = tiny_run(objective)
        folder = RunFolder(tmp_path / objective.__qualname__)
        return FrozenSubject(built, folder, "evaluator")

    return freeze

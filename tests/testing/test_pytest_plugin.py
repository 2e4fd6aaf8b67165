"""The fixtures for authors, as a test file of theirs takes them."""

from __future__ import annotations

from collections.abc import Callable

import torch

from simssl.api import Backbone, Context, Data, Subject
from simssl.plugin.registry import Registry

pytest_plugins = ["simssl.testing.pytest_plugin"]

REGISTRY = Registry(builtins_only=True)


def test_small_data_has_a_square_in_the_corner_that_its_target_names(small_data: Data) -> None:
    for split in (small_data.train, small_data.test):
        assert split is not None
        brightest_N = torch.nn.functional.avg_pool2d(split.images.float(), 4).flatten(1).argmax(1)
        assert torch.equal(brightest_N, split.targets["corner"].values)


def test_small_networks_fit_the_small_images(small_backbone: Backbone, small_data: Data) -> None:
    x_BCHW = small_data.train.images.float() / 255
    z_BD = small_backbone.encoder((1, 8, 8), 3)(x_BCHW)
    assert z_BD.shape == (96, 3)
    assert small_backbone.decoder((1, 8, 8), 3)(z_BD).shape == x_BCHW.shape


def test_an_objective_is_built_and_has_a_loss(
    small_context: Context, small_batch: Callable[[int], tuple[torch.Tensor, torch.Tensor, torch.Generator]]
) -> None:
    simvae = REGISTRY.load("objective", "simvae")
    terms = simvae(simvae.Params(J=3), small_context)(*small_batch(3))
    assert terms.loss.keys() == {"reconstruction", "entropy", "prior"}


def test_an_evaluator_measures(small_subject: Callable[..., Subject]) -> None:
    knn = REGISTRY.load("evaluator", "knn")
    for subject in (small_subject(), small_subject(REGISTRY.load("objective", "random"))):
        assert "corner/accuracy" in knn(knn.Params()).run(subject).metrics

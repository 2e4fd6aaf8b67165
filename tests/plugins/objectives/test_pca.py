"""What is not trained by gradient: PCA as scikit-learn's, and batch norm of the random encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from simssl.api import Context, Objective
from simssl.experiment.settings import ViewSettings
from simssl.plugin.registry import Registry
from simssl.training.views import Views

SHAPE = (2, 3, 3)
GENERATOR = torch.Generator()


def build(name: str, encoder: Callable[[int], nn.Module] | None = None, **params: object) -> Objective:
    plugin = Registry(builtins_only=True).load("objective", name)
    context = Context(
        image_shape=SHAPE,
        latent_dim=params.pop("latent_dim", 4),  # type: ignore[arg-type]
        num_images=params.pop("num_images", 50),  # type: ignore[arg-type]
        images_per_step=0,
        steps=0,
        binary=False,
        encoder=encoder or (lambda outputs: nn.Sequential(nn.Flatten(), nn.Linear(18, outputs))),
        decoder=lambda inputs: nn.Identity(),
    )
    objective: Objective = plugin(plugin.Params(**params), context)
    return objective


def images(n: int = 50, seed: int = 0) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed)).cumsum(1) / 2


def test_pca_is_scikit_learns_up_to_sign() -> None:
    objective, x, new = build("pca"), images(), images(20, seed=1)
    objective.fit(iter(x.split(7)), GENERATOR)
    reference = PCA(4, svd_solver="full").fit(x.flatten(1).numpy())
    expected = reference.transform(new.flatten(1).numpy())
    coordinates = objective.posterior(new).mean.numpy()
    np.testing.assert_allclose(coordinates, expected * np.sign((coordinates * expected).sum(0)), atol=1e-5)
    assert objective.posterior(new).variance is None
    assert not objective.decodes


def test_pca_repeats_whatever_the_batches() -> None:
    first, second = build("pca"), build("pca")
    first.fit(iter(images().split(7)), GENERATOR)
    second.fit(iter(images().split(50)), GENERATOR)
    torch.testing.assert_close(first.directions_DP, second.directions_DP)


def test_all_components_lose_nothing() -> None:
    objective, x = build("pca", latent_dim=18), images()
    objective.fit([x], GENERATOR)
    rebuilt = objective.posterior(x).mean @ objective.directions_DP + objective.mean_P
    torch.testing.assert_close(rebuilt, x.flatten(1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("latent_dim", "num_images", "message"),
    [
        (19, 50, "latent_dim is 19, and 50 images of 18 values have 18 principal components"),
        (11, 10, "latent_dim is 11, and 10 images of 18 values have 10 principal components"),
    ],
)
def test_more_components_than_there_are(latent_dim: int, num_images: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("pca", latent_dim=latent_dim, num_images=num_images)


def test_pca_of_a_run(simssl: Callable[..., Any], small: Callable[..., Path]) -> None:
    """Measured like all others, from its checkpoint; a latent_dim that is too large is told in one sentence."""
    assert simssl("run", small(objective={"name": "pca"})).exit_code == 0
    (file,) = Path("runs").rglob("representation-test.npy")
    digits = Registry().load("dataset", "digits")
    data = digits(digits.Params()).load(Path(), lambda *_: None)
    train, test = ((split.images.float() / 255).flatten(1).numpy() for split in (data.train, data.test))
    expected, coordinates = PCA(4, svd_solver="full").fit(train).transform(test), np.load(file)
    np.testing.assert_allclose(coordinates, expected * np.sign((coordinates * expected).sum(0)), atol=1e-4)
    result = simssl("run", small(objective={"name": "pca"}, latent_dim=65))
    assert result.exit_code == 2
    assert "objective 'pca': latent_dim is 65, and 1437 images of 64 values have 64 principal" in result.stderr
    assert len(result.stderr.splitlines()) == 1


# --- the random encoder ----------------------------------------------------------------------------------


def normed(outputs: int) -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(18, outputs))


def test_batch_norm_of_the_random_encoder_knows_the_training_images() -> None:
    """The mean over batches of their statistics; where they are alike, that of all images."""
    objective, x = build("random", normed), images()
    objective.fit(iter([x, x.flip(0), x]), GENERATOR)
    torch.testing.assert_close(objective.encoder[0].running_mean, x.mean((0, 2, 3)))
    torch.testing.assert_close(objective.encoder[0].running_var, x.var((0, 2, 3)))
    objective.fit(iter(x.split(25)), GENERATOR)
    halves = torch.stack([half.var((0, 2, 3)) for half in x.split(25)])
    torch.testing.assert_close(objective.encoder[0].running_var, halves.mean(0))


def test_a_few_images_over_a_full_batch_count_no_more_than_others() -> None:
    """1,001 images come as 501 and 500, not as 1,000 and 1: a batch counts as one, however small."""
    views = Views(ViewSettings(), (1, 8, 8))
    batches = views.plain_batches(torch.zeros(1001, 1, 8, 8, dtype=torch.uint8), torch.device("cpu"))
    assert [len(batch) for batch in batches] == [501, 500]


def test_uncalibrated_statistics_are_those_of_initialisation() -> None:
    objective = build("random", normed, calibrate=False)
    objective.fit([images()], GENERATOR)
    assert torch.equal(objective.encoder[0].running_mean, torch.zeros(2))
    assert torch.equal(objective.encoder[0].running_var, torch.ones(2))


def test_calibration_changes_no_weight_and_leaves_the_mode() -> None:
    objective = build("random", normed)
    objective.eval()
    before = [p.clone() for p in objective.parameters()]
    objective.fit([images()], GENERATOR)
    assert all(torch.equal(*pair) for pair in zip(before, objective.parameters(), strict=True))
    assert not objective.encoder[0].training
    assert objective.encoder[0].momentum == 0.1


def test_without_batch_norm_no_image_is_looked_at() -> None:
    build("random").fit(iter(()), GENERATOR)
    build("random").fit((pytest.fail("an image was asked for") for _ in range(1)), GENERATOR)

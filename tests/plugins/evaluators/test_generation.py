"""generation, on a linear decoder whose samples' mean and covariance are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from simssl.api import Data, Posterior, Result, Skip, Split
from simssl.plugin.registry import Registry

D, SHAPE = 3, (1, 4, 4)


class Identity:
    """A likelihood whose expected image is the decoder's output."""

    def mean(self, logits_BCHW: Tensor) -> Tensor:
        return logits_BCHW


class Linear:
    """A subject with representations of two clusters, and a linear decoder; it remembers what it has decoded."""

    likelihood = Identity()

    def __init__(
        self, sigma2: float | None = None, variance_D: Tensor | None = None, seed: int = 0, test: int = 500
    ) -> None:
        weights = torch.Generator().manual_seed(1)
        self.W_DP = 0.03 * torch.randn(D, 16, generator=weights)
        side_N1 = torch.where(torch.arange(500) % 2 == 0, 1.0, -1.0)[:, None]
        self.train_ND = torch.tensor([2.0, 0, 1]) * side_N1 + torch.tensor([0.1, 1, 0]) * torch.randn(
            500, D, generator=weights
        )
        self.device, self.generator = torch.device("cpu"), torch.Generator().manual_seed(seed)
        self.sigma2, self.variance_D = sigma2, variance_D
        self.decoded: list[Tensor] = []
        images = (255 * self.decode(self.train_ND)).round().to(torch.uint8)
        self.data, self.decoded = Data.of(Split(images), Split(images.repeat(test // 500, 1, 1, 1))), []

    def features(self, split: str, layer: str = "representation") -> Tensor:
        return self.train_ND

    def images(self, split: str, index_B: Tensor | slice) -> Tensor:
        return getattr(self.data, split).images[index_B].float() / 255

    def decode(self, z_BD: Tensor) -> Tensor:
        self.decoded.append(z_BD)
        return (0.5 + z_BD @ self.W_DP).view(-1, *SHAPE)

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        variance_BD = None if self.variance_D is None else self.variance_D.expand(len(x_BCHW), D)
        return Posterior(torch.zeros(len(x_BCHW), D), variance_BD)

    @property
    def z_ND(self) -> Tensor:
        return torch.cat(self.decoded).double()


def run(subject: Linear, **params: object) -> Result:
    plugin = Registry(builtins_only=True).load("evaluator", "generation")
    with torch.no_grad():
        result: Result = plugin(plugin.Params(**{"features": "pixels", **params})).run(subject)
    return result


NOISE = {
    "sigma2": ({"sigma2": 0.5}, torch.tensor([0.5, 0.5, 0.5])),
    "posterior": ({"variance_D": torch.tensor([0.1, 0.4, 2.0])}, torch.tensor([0.1, 0.4, 2.0])),
}


@pytest.mark.parametrize("width", NOISE)
def test_the_mixture_has_the_clusters_and_their_noise(width: str) -> None:
    """Its covariance is that of the representations plus the noise's, and it keeps their two clusters."""
    settings, variance_D = NOISE[width]
    subject = Linear(**settings, test=10_000)  # type: ignore[arg-type]
    run(subject)
    z_ND, train_ND = subject.z_ND, subject.train_ND.double()
    torch.testing.assert_close(z_ND.mean(0), train_ND.mean(0), atol=0.08, rtol=0)
    expected = train_ND.T.cov(correction=0) + variance_D.diag()
    torch.testing.assert_close(z_ND.T.cov(), expected, atol=0.12, rtol=0.03)
    between = (z_ND[:, 0].abs() < 0.3).double().mean()
    assert between < 0.05


def test_the_gaussian_has_mean_and_covariance_and_nothing_else() -> None:
    subject = Linear(sigma2=0.5, test=10_000)
    run(subject, latents="gaussian")
    z_ND, train_ND = subject.z_ND, subject.train_ND.double()
    torch.testing.assert_close(z_ND.mean(0), train_ND.mean(0), atol=0.08, rtol=0)
    torch.testing.assert_close(z_ND.T.cov(), train_ND.T.cov(), atol=0.12, rtol=0.03)
    z_0 = (z_ND[:, 0] - z_ND[:, 0].mean()) / z_ND[:, 0].std()
    assert z_0.pow(4).mean().item() == pytest.approx(3, rel=0.1)  # the clusters' is 1


def test_the_distance_grows_with_the_noise_around_the_representations() -> None:
    distances = [run(Linear(sigma2=s)).metrics["fd_pixels"].value for s in (1e-6, 0.3, 3.0)]
    assert 0 <= distances[0] < 0.01
    assert distances == sorted(distances)
    assert distances[2] > 10 * distances[1] > 100 * distances[0]
    assert run(Linear(sigma2=3.0), latents="gaussian").metrics["fd_pixels"].value < distances[1]


def test_seeds_repeat_and_differ() -> None:
    first, again, other = (run(Linear(sigma2=0.3, seed=s)) for s in (0, 0, 1))
    assert first.metrics == again.metrics
    assert torch.equal(first.images["samples"], again.images["samples"])
    assert not torch.equal(first.images["samples"], other.images["samples"])
    assert first.metrics != other.metrics


def test_as_many_samples_as_test_images() -> None:
    subject = Linear(sigma2=0.3)
    assert "500 expected images" in str(run(subject, pictures=10).protocol["images"])
    assert len(subject.z_ND) == 510
    subject = Linear(sigma2=0.3)
    result = run(subject, pictures=10, samples=100)
    assert "100 expected images" in str(result.protocol["images"])
    assert len(subject.z_ND) == 110
    assert result.images["samples"].shape == (1, 2 * 68 + 4, 8 * 68 + 4)


def test_a_model_without_a_width_is_skipped() -> None:
    with pytest.raises(Skip, match="neither a sigma2 nor a posterior variance; take 'latents: gaussian'"):
        run(Linear())
    assert "fd_pixels" in run(Linear(), latents="gaussian").metrics


def test_simvaes_sigma2_is_taken(simssl: Callable[..., Any], small: Callable[..., Path]) -> None:
    """Not its posterior's variance; the VAE has no sigma2, and their numbers stand in one column."""
    grid = {"objective": [{"name": "simvae", "J": 2, "sigma2": 0.3}, {"name": "vae"}, {"name": "simclr"}]}
    evaluators = [{"name": "generation", "features": "pixels"}]
    result = simssl("run", small(evaluators=evaluators, grid=grid))
    assert result.exit_code == 0, result.stderr
    assert "[" not in result.stdout
    metrics = {
        document["objective"]: document["metrics"]
        for document in (json.loads(path.read_text()) for path in Path("runs/small").glob("*/metrics.json"))
    }
    assert metrics["simvae"]["generation/fd_pixels"]["protocol"]["found"] == {"sigma2": 0.3}
    assert metrics["vae"]["generation/fd_pixels"]["protocol"]["found"] == {"sigma2": None}
    assert metrics["simclr"]["generation"]["skipped"] == "simclr has no decoder"


def test_the_picture_comes_without_the_weights(
    simssl: Callable[..., Any], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from simssl.blocks.statistics import frechet

    def missing(_: object) -> None:
        raise frechet.MissingFeatures("the weights are not here")

    monkeypatch.setattr(frechet, "_inception", missing)
    file = small(evaluators=[{"name": "generation"}], trackers=[{"name": "console"}])
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    assert "generation/fid: skipped, the weights are not here" in result.stdout
    assert "generation: fid skipped" in result.stderr
    (run_dir,) = Path("runs/small").iterdir()
    document = json.loads((run_dir / "metrics.json").read_text())["metrics"]
    assert set(document) == {"generation/fid"}
    assert document["generation/fid"]["skipped"] == "the weights are not here"
    assert Image.open(run_dir / "images" / "generation" / "samples.png").size == (8 * 68 + 4, 8 * 68 + 4)
    again = simssl("evaluate", run_dir, "-e", "{name: generation, features: pixels}")
    assert again.exit_code == 0, again.stderr
    document = json.loads((run_dir / "metrics.json").read_text())["metrics"]
    assert set(document) == {"generation/fd_pixels"}


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("pixel", "'features' must be inception, pixels or timm:MODEL, not 'pixel'"),
        ("timm:resnet", "evaluator 'generation': timm has no pretrained model 'resnet'"),
    ],
)
def test_unknown_features_are_refused_before_training(
    features: str, message: str, simssl: Callable[..., Any], small: Callable[..., Path]
) -> None:
    result = simssl("run", small(evaluators=[{"name": "generation", "features": features}]))
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("runs").exists()

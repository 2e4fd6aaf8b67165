"""The Fréchet distance against its closed form, and what is said where a feature extractor is not to be had."""

from __future__ import annotations

import importlib.util
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn

from simssl.blocks.statistics import frechet
from simssl.blocks.statistics.frechet import MissingFeatures, PixelFeatures, check_features, frechet_distance

CPU = torch.device("cpu")


def images(N: int, seed: int, shape: tuple[int, int, int] = (1, 4, 3)) -> Tensor:
    return torch.rand(N, *shape, generator=torch.Generator().manual_seed(seed))


def distance(real: Tensor, generated: Tensor, name: str = "pixels") -> float:
    return frechet_distance(name, real.split(64), generated.split(50), CPU)


def test_it_is_the_closed_form_on_the_features() -> None:
    real, generated = images(400, 0), 0.7 * images(300, 1) ** 2
    means, covariances = zip(
        *((x.mean(0), np.cov(x, rowvar=False)) for x in (f.flatten(1).double().numpy() for f in (real, generated))),
        strict=True,
    )
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert distance(real, generated) == pytest.approx(expected, rel=1e-4)


def test_it_is_zero_for_the_same_images_and_grows_with_noise() -> None:
    real = images(500, 0, (3, 8, 8))
    distances = [distance(real, real + scale * images(500, 1, (3, 8, 8))) for scale in (0, 0.1, 0.3, 1)]
    assert distances[0] == pytest.approx(0, abs=1e-4)
    assert distances == sorted(distances)
    assert distances[1] > 0.1


def test_pixels_are_averaged_down_to_sixteen() -> None:
    x = images(2, 0, (3, 32, 20))
    features = PixelFeatures()(x)
    assert features.shape == (2, 3 * 16 * 16)
    torch.testing.assert_close(features[0, 0], x[0, 0, :2, :2].mean())
    assert torch.equal(PixelFeatures()(images(2, 0)), images(2, 0).flatten(1))


def test_names_are_checked() -> None:
    check_features("pixels")
    check_features("timm:resnet18")
    with pytest.raises(ValueError, match="'features' must be inception, pixels or timm:MODEL, not 'inceptoin'"):
        check_features("inceptoin")
    with pytest.raises(ValueError, match="timm has no pretrained model 'resnet1'"):
        check_features("timm:resnet1")


def test_a_model_of_timms_sees_grey_images_in_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    create = timm.create_model
    calls: list[bool] = []

    def without_weights(name: str, pretrained: bool, **options: Any) -> nn.Module:
        calls.append(pretrained)
        torch.manual_seed(0)
        network: nn.Module = create(name, pretrained=False, **options)
        return network

    monkeypatch.setattr(timm, "create_model", without_weights)
    real = images(8, 0, (1, 9, 9))
    assert distance(real, real, "timm:test_resnet") == pytest.approx(0, abs=1e-3)
    assert calls == [True]


def test_weights_of_timms_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    def offline(*_: object, **__: object) -> nn.Module:
        raise OSError("no route\nto host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(MissingFeatures, match=r"timm's resnet18 are neither in \$HF_HOME .* \(no route to host\)"):
        distance(images(4, 0), images(4, 1), "timm:resnet18")


def test_without_torch_fidelity(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "torch_fidelity" else find(name, *a)
    )
    with pytest.raises(MissingFeatures, match="needs torch-fidelity, which is not installed"):
        distance(images(4, 0), images(4, 1), "inception")


@pytest.mark.parametrize("there", [False, True])
def test_inception_weights_that_are_missing_or_damaged(
    there: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("torch_fidelity")

    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    name = "weights-inception-2015-12-05-6726825d.pth"
    if there:
        (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
        (tmp_path / "hub" / "checkpoints" / name).write_bytes(b"no weights")
    wrong = "are damaged" if there else "are missing and could not be downloaded"
    with pytest.raises(MissingFeatures, match=f"the Inception weights {name} {wrong} ") as error:
        distance(images(4, 0), images(4, 1), "inception")
    assert f"{name} into $TORCH_HOME/hub/checkpoints" in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_inception_gets_colour_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grey channels are repeated, and the metric itself takes whole bytes; a stand-in for the network sees that."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    seen: list[tuple[int, ...]] = []

    class Network(nn.Module):
        num_features = 3

        def forward(self, x_BCHW: Tensor) -> Tensor:
            seen.append(tuple(x_BCHW.shape[1:]))
            return x_BCHW.mean((2, 3))

    monkeypatch.setattr(frechet, "_inception", lambda metric: FrechetInceptionDistance(Network(), normalize=True))
    distance(images(4, 0), images(4, 1), "inception")
    assert set(seen) == {(3, 4, 3)}

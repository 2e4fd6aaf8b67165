"""`simssl.load`: a trained run in Python."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image

import simssl
from simssl.blocks.images.pictures import picture_grid
from simssl.errors import SimsslError, UserError
from simssl.plugin.registry import Registry


def images(name: str = "digits", root: Path = Path()) -> torch.Tensor:
    plugin = Registry(builtins_only=True).load("dataset", name)
    pictures: torch.Tensor = plugin(plugin.Params()).load(root, lambda *_: None).test.images
    return pictures


def features(run: Path) -> torch.Tensor:
    return torch.from_numpy(np.load(run / "features" / "representation-test.npy"))


def test_it_says_what_it_is(trained: dict[str, Path]) -> None:
    model = simssl.load(str(trained["simvae"]), device="cpu")
    assert (model.experiment.name, model.experiment.objective.name, model.experiment.seed) == ("small", "simvae", 0)
    assert model.source_shape == model.image_shape == (1, 8, 8)
    assert model.experiment.latent_dim == 4
    assert model.device == torch.device("cpu")
    assert model.run == trained["simvae"].name


def test_its_repr_and_what_the_package_has_can_be_seen(trained: dict[str, Path]) -> None:
    model = simssl.load(trained["simvae"], device="cpu")
    told = "simvae on digits, images (1, 8, 8), 4 latent dimensions, seed 0, cpu"
    assert repr(model) == f"<TrainedModel: {told}>"
    assert {"load", "Params", "hookimpl", "__version__"} <= set(dir(simssl))


@pytest.mark.parametrize("form", [str, Path])
def test_paths_of_images_are_images(form: Callable[[Path], Any], trained: dict[str, Path], tmp_path: Path) -> None:
    model = simssl.load(trained["simclr"])
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file, image in zip(files, pil(images()), strict=False):
        image.save(file)
    expected = model.encode(images()[:3]).mean
    assert torch.equal(model.encode([form(file) for file in files]).mean, expected)
    assert torch.equal(model.encode(form(files[1])).mean, model.encode(images()[1:2]).mean)
    assert torch.equal(model.encode([files[0], Image.open(files[1])]).mean, model.encode(images()[:2]).mean)


def test_a_folder_is_no_image(trained: dict[str, Path], tmp_path: Path) -> None:
    model = simssl.load(trained["simclr"])
    with pytest.raises(ValueError, match="is a folder; give the paths of the images in it"):
        model.encode(str(tmp_path))


def pil(x_NCHW: torch.Tensor) -> list[Image.Image]:
    return [Image.fromarray(pixels) for pixels in x_NCHW[:, 0].numpy()]


FORMS: dict[str, Callable[[torch.Tensor], Any]] = {
    "tensor": lambda x: x,
    "array": lambda x: x.numpy(),
    "array that is mirrored twice": lambda x: x.numpy()[:, :, ::-1].copy()[:, :, ::-1],
    "read-only array": lambda x: np.frombuffer(x.numpy().tobytes(), np.uint8).reshape(x.shape),
    "floats": lambda x: x.float() / 255,
    "doubles": lambda x: x.double().numpy() / 255,
    "PIL": pil,
    "PIL in colour": lambda x: tuple(image.convert("RGB") for image in pil(x)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_images_has_the_representations_that_evaluators_measure(
    form: str, trained: dict[str, Path]
) -> None:
    given = FORMS[form](images())
    before = given.clone() if isinstance(given, torch.Tensor) else None
    posterior = simssl.load(trained["simvae"]).encode(given)
    torch.testing.assert_close(posterior.mean, features(trained["simvae"]), rtol=1e-5, atol=1e-6)
    assert posterior.variance is not None
    assert posterior.variance.shape == posterior.mean.shape
    assert before is None or torch.equal(given, before)


def test_one_picture_is_one_row(trained: dict[str, Path]) -> None:
    posterior = simssl.load(trained["simclr"]).encode(pil(images())[3])
    torch.testing.assert_close(posterior.mean, features(trained["simclr"])[3:4], rtol=1e-5, atol=1e-6)
    assert posterior.variance is None


def test_decoding_what_is_encoded_is_the_picture_of_the_reconstructions(trained: dict[str, Path]) -> None:
    model, x_NCHW = simssl.load(trained["simvae"]), images()[:12]
    decoded_NCHW = model.decode(model.encode(x_NCHW).mean)
    picture = np.asarray(Image.open(trained["simvae"] / "images" / "reconstruction" / "test.png"), dtype=int)
    again = picture_grid([x_NCHW / 255, decoded_NCHW])[0].numpy().astype(int)
    assert np.abs(again - picture).max() <= 1


def test_samples_are_drawn_about_the_representations(trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model = simssl.load(trained["simvae"])
    x_NCHW = model.sample(7, seed=3)
    assert x_NCHW.shape == (7, 1, 8, 8)
    assert 0 <= x_NCHW.min() < x_NCHW.max() <= 1
    assert torch.equal(x_NCHW, simssl.load(trained["simvae"]).sample(7, seed=3))
    assert not torch.equal(x_NCHW, model.sample(7))
    monkeypatch.setattr(model, "decode", lambda z: z)
    z_ND = model.sample(100_000)
    mu_ND = torch.from_numpy(np.load(trained["simvae"] / "features" / "representation-train.npy")).double()
    scale = mu_ND.T.cov().diagonal().max().item()
    torch.testing.assert_close(z_ND.mean(0), mu_ND.mean(0), rtol=0, atol=0.02 * scale**0.5)
    torch.testing.assert_close(z_ND.T.cov(), mu_ND.T.cov(), rtol=0, atol=0.02 * scale)


def test_samples_of_one_dimension_and_of_collapsed_ones(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from simssl import load

    assert simssl("run", small(latent_dim=1, objective={"name": "vae"}, evaluators=[])).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    model = load(run)
    assert model.sample(2).shape == (2, 1, 8, 8)
    model._representations[1].zero_()
    first, second = model.sample(2)
    assert torch.equal(first, second)


def test_a_method_without_decoder_says_so(trained: dict[str, Path]) -> None:
    model = simssl.load(trained["simclr"])
    with pytest.raises(UserError, match="simclr has no decoder"):
        model.decode(torch.zeros(1, 4))
    with pytest.raises(UserError, match="simclr has no decoder"):
        model.sample(3)


def test_views_of_another_size_are_decoded_and_encoded_again(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    from simssl import load

    Registry().load("dataset", "mnist").example(Path("data"))
    views = {"crop": {}, "size": 14, "finish": {"threshold": 0.5}}
    evaluators = [{"name": "reconstruction"}]
    training = {"views": 60, "batch_views": 12}
    assert (
        simssl("run", small(dataset={"name": "mnist"}, views=views, training=training, evaluators=evaluators)).exit_code
        == 0
    )
    (run,) = Path("runs/small").iterdir()
    model = load(run)
    assert (model.source_shape, model.image_shape) == ((1, 28, 28), (1, 14, 14))
    torch.testing.assert_close(model.encode(images("mnist", Path("data"))).mean, features(run), rtol=1e-5, atol=1e-6)
    decoded = model.decode(features(run).numpy())
    finished = model.encode((decoded > 0.5).float()).mean
    torch.testing.assert_close(model.encode(decoded).mean, finished)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (3, TypeError, "not int"),
        ([3], TypeError, "a tensor or an array .N, C, H, W., PIL images or paths, one or a list, not list"),
        (["a.png"], FileNotFoundError, "there is no image a.png"),
        (__file__, ValueError, "test_trained.py is no image that can be read"),
        ([], ValueError, "there are no images"),
        (torch.zeros(0, 1, 8, 8), ValueError, r"the shape \(N, 1, 8, 8\), and these \(0, 1, 8, 8\)"),
        (torch.zeros(1, 8, 8), ValueError, r"and these \(1, 8, 8\); PIL images may be of any size"),
        (np.zeros((2, 3, 8, 8), np.uint8), ValueError, r"and these \(2, 3, 8, 8\)"),
        (torch.full((1, 1, 8, 8), 255.0), ValueError, r"lie in \[0, 1\], and these from 255 to 255"),
        (torch.full((1, 1, 8, 8), torch.nan), ValueError, "and these from nan to nan"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.int64), ValueError, "not torch.int64"),
        (Image.new("F", (8, 8)), ValueError, "neither 8 nor 16 bits"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    given: Any, error: type[Exception], message: str, trained: dict[str, Path]
) -> None:
    with pytest.raises(error, match=message):
        simssl.load(trained["simvae"]).encode(given)


@pytest.mark.parametrize("shape", [(4,), (1, 5), (0, 4)])
def test_representations_that_do_not_fit_are_refused(shape: tuple[int, ...], trained: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"representations have the shape \(N, 4\), and these"):
        simssl.load(trained["simvae"]).decode(torch.zeros(shape))


def test_there_must_be_a_run(tmp_path: Path) -> None:
    with pytest.raises(SimsslError, match=r"is not a run's folder: it has no experiment\.yaml"):
        simssl.load(tmp_path)


def test_what_belongs_to_the_program_around_is_left_alone(trained: dict[str, Path]) -> None:
    def around() -> tuple[object, ...]:
        settings = (
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.allow_tf32,
            torch.get_num_threads(),
        )
        return (*settings, torch.rand(1).item(), np.random.rand(), random.random(), torch.is_grad_enabled())

    def seed() -> None:
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)

    seed()
    before = around()
    seed()
    model = simssl.load(trained["simvae"])
    model.decode(model.encode(images()).mean)
    model.sample(2)
    assert around() == before


@pytest.mark.parametrize("n", [0, -1])
def test_there_is_no_less_than_one_sample(n: int, trained: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=f"the number of samples is at least 1, not {n}"):
        simssl.load(trained["simvae"]).sample(n)


def test_an_unknown_device_is_named(trained: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="there is no device 'gpu'; there are auto, cpu, cuda and cuda:N"):
        simssl.load(trained["simvae"], device="gpu")

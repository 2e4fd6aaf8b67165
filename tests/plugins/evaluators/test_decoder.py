"""decoder, on representations from which the best decoder is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from recorded import recorded
from torch import Tensor, nn

from simssl.api import Data, Result, Split
from simssl.blocks.probes import capture, regression
from simssl.blocks.probes.splits import held_out_split
from simssl.plugin.registry import Registry
from simssl.testing.recording import Recorder

D, SHAPE, TRAIN, TEST = 3, (1, 4, 4), 900, 300


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Linear:
    """Images that are linear in three latents, and noise; the representation is given, a new decoder is linear."""

    def __init__(self, representation: Callable[[Tensor], Tensor] = lambda z: z, seed: int = 0) -> None:
        z_ND = normal(TRAIN + TEST, D, seed=1)
        x_NP = 0.5 + 0.02 * z_ND @ normal(D, 16, seed=2) + 0.02 * normal(TRAIN + TEST, 16, seed=3)
        images = (255 * x_NP.clamp(0, 1)).round().to(torch.uint8).view(-1, *SHAPE)
        self.data = Data.of(Split(images[:TRAIN]), Split(images[TRAIN:]))
        self.device, self.generator = torch.device("cpu"), torch.Generator().manual_seed(seed)
        represented = representation(z_ND)
        self._features = {"train": represented[:TRAIN], "test": represented[TRAIN:]}
        self.decoders: list[nn.Module] = []

    def features(self, split: str, layer: str = "representation") -> Tensor:
        return self._features[split]

    def images(self, split: str, index_B: Tensor | slice) -> Tensor:
        return getattr(self.data, split).images[index_B].float() / 255

    def selection(self) -> tuple[Tensor, Tensor]:
        return held_out_split(torch.zeros(TRAIN))

    def new_decoder(self) -> nn.Module:
        linear = nn.Linear(self._features["train"].shape[1], 16)
        for parameter in linear.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1, generator=self.generator)
        self.decoders.append(Watched(linear, nn.Unflatten(1, SHAPE)))
        return self.decoders[-1]


class Watched(nn.Sequential):
    """In training mode where it is trained, and in evaluation mode where it is scored."""

    steps = 0

    def forward(self, input: Tensor) -> Tensor:
        assert self.training == torch.is_grad_enabled()
        self.steps += self.training
        out: Tensor = super().forward(input)
        return out


def run(subject: Linear, **params: object) -> Result:
    plugin = Registry(builtins_only=True).load("evaluator", "decoder")
    with torch.no_grad():
        result: Result = plugin(plugin.Params(**{"lr": 1e-2, "epochs": 30, **params})).run(subject)
    return result


def least_squares(subject: Linear) -> tuple[float, float]:
    """mse on the test images of the best linear map from z, and of the training images' mean."""
    train_NP, test_NP = (subject.images(split, slice(None)).flatten(1).double() for split in ("train", "test"))
    ones = [
        torch.cat([subject.features(s), torch.ones(len(subject.features(s)), 1)], 1).double() for s in ("train", "test")
    ]
    predicted_NP = ones[1] @ torch.linalg.lstsq(ones[0], train_NP).solution
    return tuple((test_NP - p).square().mean().item() for p in (predicted_NP, train_NP.mean(0)))  # type: ignore[return-value]


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_it_approaches_least_squares_whatever_the_scale(scale: float) -> None:
    subject = Linear(lambda z: scale * z + scale)
    best, of_mean = least_squares(subject)
    metrics = run(subject).metrics
    assert best < metrics["mse"].value < 1.05 * best
    assert metrics["R2"].value == pytest.approx(1 - metrics["mse"].value / of_mean, rel=1e-4)
    nll = 16 * (metrics["mse"].value / 0.02 + 0.5 * torch.log(torch.tensor(0.02 * torch.pi)).item())
    assert metrics["nll"].value == pytest.approx(nll, rel=1e-3)


def test_noise_gives_no_more_than_the_mean_image() -> None:
    r2 = run(Linear(lambda z: normal(*z.shape, seed=9))).metrics["R2"].value
    assert -0.1 < r2 < 0.01


def test_representations_of_other_images_give_no_more_than_the_mean_image() -> None:
    result = run(Linear(lambda z: z[torch.randperm(len(z), generator=torch.Generator().manual_seed(4))]))
    assert -0.1 < result.metrics["R2"].value < 0.01


def test_a_constant_representation_gives_the_mean_image() -> None:
    assert -0.1 < run(Linear(torch.zeros_like)).metrics["R2"].value < 0.01


def test_seeds_repeat_and_differ() -> None:
    first, again, other = (run(Linear(seed=s), epochs=3) for s in (0, 0, 1))
    assert first.metrics == again.metrics
    assert first.metrics != other.metrics
    assert first.images["test"].shape == (1, 2 * 68 + 4, 12 * 68 + 4)


def test_epochs_are_chosen_on_held_out_images_and_a_new_decoder_trained_for_as_many() -> None:
    """With many columns of noise the decoder soon fits more than there is."""
    subject = Linear(lambda z: torch.cat([z, normal(len(z), 600, seed=8)], 1))
    metric = run(subject, epochs=20, lr=0.1).metrics["mse"]
    epochs = metric.protocol["selected"]["epochs"]
    assert 1 <= epochs < 20
    first, second = subject.decoders
    assert (first.steps, second.steps) == (20 * 7, epochs * 8)  # 810 and 900 images, 128 a step


def test_methods_with_a_decoder_are_skipped(simssl: Callable[..., Any], small: Callable[..., Path]) -> None:
    evaluators = [{"name": "decoder", "epochs": 2}]
    result = simssl("run", small(evaluators=evaluators, grid={"objective": [{"name": "vae"}, {"name": "pca"}]}))
    assert result.exit_code == 0, result.stderr
    assert "decoder will be skipped: vae has a decoder of its own" in result.stderr
    metrics = {
        document["objective"]: document["metrics"]
        for document in (json.loads(path.read_text()) for path in Path("runs/small").glob("*/metrics.json"))
    }
    assert metrics["vae"]["decoder"]["skipped"] == "vae has a decoder of its own"
    assert set(metrics["pca"]) == {"decoder/R2", "decoder/mse", "decoder/nll"}
    assert metrics["pca"]["decoder/R2"]["protocol"]["selected_on"] == "held_out"
    assert len(list(Path("runs/small").glob("pca*/images/decoder/test.png"))) == 1


def test_a_decoder_that_would_learn_on_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "simssl")
    run(Linear(), epochs=2, lr=1e-3)
    assert "a decoder was best at its last epoch, 2: raise the evaluator's 'epochs'" in caplog.text
    caplog.clear()
    run(Linear(lambda z: torch.cat([z, normal(len(z), 600, seed=8)], 1)), epochs=20, lr=0.1)
    assert not caplog.text


def test_captured_steps_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host waits for nothing in them: the images are gathered by the step."""
    eager = run(Linear(), epochs=3).metrics
    graphs = Recorder()
    monkeypatch.setattr(regression, "capture", recorded(graphs))
    assert run(Linear(), epochs=3).metrics == eager
    assert graphs.replays == 3 * 6 - 2 + 3 * 7 - 2  # the full batches of 810 and of 900 images


@pytest.mark.cuda
def test_on_cuda_the_decoder_is_trained_by_captured_steps(
    simssl: Callable[..., Any], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = []

    def noted(call: Callable[[], None], device: torch.device) -> Callable[[], None]:
        replay = capture(call, device)
        captured.append(replay is not call)
        return replay

    values = []
    for runs, of_step in (("captured", noted), ("eager", lambda call, device: call)):
        monkeypatch.setattr(regression, "capture", of_step)
        file = small(evaluators=[{"name": "decoder", "epochs": 3}], objective={"name": "random"})
        assert simssl("run", file, "--device", "cuda", "--runs", runs).exit_code == 0
        (metrics,) = [json.loads(path.read_text())["metrics"] for path in Path(runs).rglob("metrics.json")]
        values.append(metrics["decoder/mse"]["value"])
    assert values[0] == pytest.approx(values[1], rel=1e-2)
    assert captured == [True, True], "to choose the epoch, and anew on all of train"

"""Backbones: shapes of any size, stems by the size of the image, mirrors, and sentences where something cannot be."""

from __future__ import annotations

import importlib
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from click.testing import Result
from torch import nn

from simssl.api import Backbone
from simssl.plugin.registry import Registry

REGISTRY = Registry(builtins_only=True)
CONVOLUTIONAL = ["convnet", "resnet18"]

FEW = [{"name": "style_probe", "images": 20, "views": 2}]
"""Evaluators that look at few images: a ResNet's take a second each."""


def backbone(name: str, **params: object) -> Backbone:
    plugin = REGISTRY.load("backbone", name)
    built: Backbone = plugin(plugin.Params(**params))
    return built


def stem(encoder: Any) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    conv = encoder[1].conv1
    return conv.kernel_size, conv.stride, isinstance(encoder[1].maxpool, nn.MaxPool2d)


STEMS = [
    (28, ((3, 3), (1, 1), False)),
    (32, ((3, 3), (1, 1), False)),
    (64, ((3, 3), (1, 1), True)),
    (96, ((3, 3), (1, 1), True)),
    (128, ((7, 7), (2, 2), True)),
]


@pytest.mark.parametrize(("size", "expected"), STEMS)
def test_resnet18_takes_the_stem_of_the_images_size(
    size: int, expected: object, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="simssl"):
        assert stem(backbone("resnet18").encoder((3, size, size + 5), 4)) == expected
    assert f"for images of {size} x {size + 5}; 'stem' chooses another" in caplog.text


def test_a_stem_that_is_given_is_taken_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="simssl"):
        assert stem(backbone("resnet18", stem="imagenet").encoder((3, 32, 32), 4)) == STEMS[-1][1]
        assert stem(backbone("resnet18", stem="small").encoder((3, 64, 64), 4)) == STEMS[0][1]
    assert not caplog.text


@pytest.mark.parametrize("grey", [False, True])
def test_resnet18_with_the_imagenet_stem_is_timms(grey: bool) -> None:
    """On the same weights, after ImageNet's standardisation (the average of the colours' for grey images)."""
    channels = 1 if grey else 3
    reference = timm.create_model("resnet18", num_classes=6, in_chans=channels).eval()
    ours = backbone("resnet18").encoder((channels, 112, 112), 6).eval()
    ours[1].load_state_dict(reference.state_dict())
    mean, std = (torch.tensor(reference.pretrained_cfg[key]) for key in ("mean", "std"))
    mean, std = (v.mean().view(1, 1, 1) if grey else v.view(3, 1, 1) for v in (mean, std))
    x = torch.rand(2, channels, 112, 112)
    torch.testing.assert_close(ours(x), reference((x - mean) / std))


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (28, 28), (33, 64), (97, 113), (130, 127)])
def test_logits_have_exactly_the_images_shape(name: str, size: tuple[int, int]) -> None:
    built = backbone(name)
    with torch.no_grad():
        assert built.encoder((3, *size), 5).eval()(torch.rand(1, 3, *size)).shape == (1, 5)
        assert built.decoder((3, *size), 5).eval()(torch.randn(1, 5)).shape == (1, 3, *size)


@pytest.mark.parametrize("given", ["small", "medium", "imagenet"])
def test_resnet18_decodes_whatever_the_stem(given: str) -> None:
    with torch.no_grad():
        assert backbone("resnet18", stem=given).decoder((1, 21, 40), 3).eval()(torch.randn(2, 3)).shape == (
            2,
            1,
            21,
            40,
        )


def convolutions(network: nn.Module) -> list[tuple[int, int, int]]:
    """Input channels, output channels and kernel of each convolution."""
    modules = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    return sorted((m.in_channels, m.out_channels, m.kernel_size[0]) for m in modules)


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_the_decoder_mirrors_the_encoder(name: str, size: int) -> None:
    """Every convolution, skips included, has its counterpart from as many channels to as many.

    A stage's second convolution in a basic block keeps the width, so in reverse the first does.
    """
    built = backbone(name)
    encoder, decoder = (convolutions(make((3, size, size), 4)) for make in (built.encoder, built.decoder))
    assert decoder == sorted((after, before, kernel) for before, after, kernel in encoder)


def test_every_block_of_the_mirror_has_its_skip() -> None:
    """With its residual branch at zero, a block still passes its input on."""
    decoder: Any = backbone("resnet18").decoder((3, 32, 32), 4).eval()
    for block in decoder.blocks:
        nn.init.zeros_(block.bn2.weight)
    z = torch.randn(2, 4)
    outputs = [decoder(z), decoder(-z)]
    assert len(decoder.blocks) == 8
    assert not torch.allclose(*outputs)


def test_an_upsampling_block_against_its_formula() -> None:
    """relu(bn(conv(up(relu(bn(conv x))))) + up(bn(conv1x1 x))), each pixel repeated, odd sizes rounded down."""
    module = importlib.import_module(REGISTRY.find("backbone", "resnet18").module)
    block = module.Block(4, 2, (5, 6)).eval()
    x = torch.randn(2, 4, 3, 3)

    def up(h: torch.Tensor) -> torch.Tensor:
        rows, columns = [i * 3 // 5 for i in range(5)], [i * 3 // 6 for i in range(6)]
        return h[:, :, rows][:, :, :, columns]

    branch = block.bn2(block.conv2(up(block.bn1(block.conv1(x)).clamp(min=0))))
    expected = (branch + up(block.skip[1](block.skip[0](x)))).clamp(min=0)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_an_autoencoder_of_it_learns_its_images(name: str) -> None:
    """Four images are told apart and given back, far below the error of the mean image."""
    torch.manual_seed(0)
    shape = (3, 15, 18)
    built = backbone(name, **({"widths": (16, 32)} if name == "convnet" else {"stem": "medium"}))
    network = nn.Sequential(built.encoder(shape, 8), built.decoder(shape, 8))
    x = torch.rand(4, 3, 2, 2).repeat_interleave(9, 2).repeat_interleave(9, 3)[:, :, :15]
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(100 if name == "convnet" else 40):
        optimizer.zero_grad()
        error = (network(x).sigmoid() - x).square().mean()
        error.backward()
        optimizer.step()
    assert error.item() < 0.3 * (x - x.mean(0)).square().mean().item()


def test_convnet_halves_at_every_width() -> None:
    encoder: Any = backbone("convnet", widths=(8, 4)).encoder((3, 28, 21), 6)
    assert encoder[:3](torch.rand(2, 3, 28, 21)).shape == (2, 8, 14, 11)
    assert encoder[:6](torch.rand(2, 3, 28, 21)).shape == (2, 4, 7, 6)
    assert encoder[-1].in_features == 4 * 7 * 6


@pytest.mark.parametrize(
    ("params", "shape", "message"),
    [
        ({}, (3, 32, 32), r"the pretrained weights have a 7 x 7 stem, not this one \(3 x 3, stride 1, no max-pool\)"),
        ({"stem": "medium"}, (3, 224, 224), "set 'stem: imagenet'"),
        ({"stem": "imagenet"}, (4, 64, 64), "for images of 1 or 3 channels, not 4"),
    ],
)
def test_weights_that_would_mean_nothing_are_refused(
    params: dict[str, object], shape: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        backbone("resnet18", pretrained=True, **params).encoder(shape, 4)


def test_pretrained_weights_are_timms(monkeypatch: pytest.MonkeyPatch) -> None:
    """What timm gives is what the encoder has, its classifier apart."""
    module = importlib.import_module(REGISTRY.find("backbone", "resnet18").module)
    create, asked = timm.create_model, []

    def from_the_hub(name: str, pretrained: bool, **others: Any) -> Any:
        asked.append(pretrained)
        network = create(name, **others)
        nn.init.constant_(network.conv1.weight, 0.25)
        return network

    monkeypatch.setattr(module.timm, "create_model", from_the_hub)
    encoder: Any = backbone("resnet18", pretrained=True, stem="imagenet").encoder((3, 64, 64), 4)
    assert asked == [True]
    assert encoder[1].conv1.weight.eq(0.25).all()
    assert encoder[1].fc.out_features == 4


def test_weights_that_cannot_be_had_are_told_in_one_sentence(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(REGISTRY.find("backbone", "resnet18").module)

    def offline(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect to the hub\nand a long story")

    monkeypatch.setattr(module.timm, "create_model", offline)
    file = small(backbone={"name": "resnet18", "pretrained": True, "stem": "imagenet"})
    result = simssl("run", file)
    assert result.exit_code == 2
    assert result.stderr == (
        "backbone 'resnet18': the pretrained weights cannot be had (We couldn't connect to the hub); connect to the "
        "network once, or leave out 'pretrained'\n"
    )


def test_the_command_line_says_the_stem_once(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    """Two runs build it several times each; what is logged elsewhere, or after the command, is not said."""
    training = {"views": 24, "batch_views": 12}
    changes = {"objective": {"name": "simclr"}, "training": training, "grid": {"seed": [0, 1]}, "evaluators": FEW}
    file = small(backbone={"name": "resnet18"}, **changes)
    said = "resnet18 takes the small stem (3 x 3, stride 1, no max-pool) for images of 8 x 8; 'stem' chooses another"
    for _ in range(2):
        result = simssl("run", file, "--fresh")
        assert result.exit_code == 0, result.stderr
        assert result.stderr.count(said) == 1
        assert result.stdout.count(said) == 0
    assert not logging.getLogger("simssl").handlers


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_run_of_it_is_resumed_and_measured(
    name: str, simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    """Batch norm's statistics are part of the state: evaluated again, the run gives the same numbers."""
    file = small(
        backbone={"name": name},
        training={"views": 180, "batch_views": 60, "log_every": 1},
        evaluators=[*FEW, {"name": "reconstruction"}],
    )
    assert simssl("run", file).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    before = (run / "metrics.json").read_text()
    for features in (run / "features").iterdir():
        features.unlink()
    result = simssl("evaluate", run, "-e", json.dumps(FEW[0]), "-e", "reconstruction")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("is measured again") == 2
    assert (run / "metrics.json").read_text() == before
    assert math.isfinite(float(before.split('"reconstruction/mse": {')[1].split('"value": ')[1].split(",")[0]))

"""Any model of timm's: by its name, at the size of the images, from weights, with rates that are 0 unless asked."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from click.testing import Result
from safetensors.torch import save_file
from torch import nn

from simssl.api import Backbone
from simssl.plugin.registry import Registry
from simssl.testing.host_sync import refuse_host_synchronisation

REGISTRY = Registry(builtins_only=True)
Command = Callable[..., Result]
Write = Callable[..., Path]
FEW = [{"name": "style_probe", "images": 20, "views": 2}]


def backbone(model: str, **params: object) -> Backbone:
    plugin = REGISTRY.load("backbone", "timm")
    built: Backbone = plugin(plugin.Params(model=model, **params))
    return built


def encoder(model: str, shape: tuple[int, int, int] = (3, 32, 32), **params: object) -> Any:
    return backbone(model, **params).encoder(shape, 6)


# --- the model is timm's -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "shape", "params"),
    [
        ("test_resnet", (3, 112, 112), {}),
        ("test_resnet", (1, 32, 32), {"stem": "imagenet"}),
        ("test_efficientnet", (3, 112, 128), {}),
        ("test_convnext", (3, 112, 112), {}),
        ("test_vit", (3, 160, 160), {}),
    ],
)
def test_at_the_models_own_size_it_is_timms(model: str, shape: tuple[int, int, int], params: dict[str, Any]) -> None:
    """On the same weights: the embedding before the classifier of standardised images, then a linear layer."""
    reference = timm.create_model(model, num_classes=0, in_chans=shape[0]).eval()
    ours = encoder(model, shape, **params).eval()
    *_, network, last = ours
    network.load_state_dict(reference.state_dict())
    mean, std = (torch.tensor(reference.pretrained_cfg[key]) for key in ("mean", "std"))
    mean, std = (v.mean().view(1, 1, 1) if shape[0] == 1 else v.view(3, 1, 1) for v in (mean, std))
    x = torch.rand(2, *shape)
    torch.testing.assert_close(ours(x), last(reference((x - mean) / std)))
    assert last.out_features == 6


# --- small images ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "size", "patch"),
    [
        ("vit_tiny_patch16_224", (8, 8), 1),
        ("vit_tiny_patch16_224", (28, 28), 4),
        ("vit_tiny_patch16_224", (32, 32), 4),
        ("vit_tiny_patch16_224", (64, 64), 8),
        ("vit_tiny_patch16_224", (100, 64), 8),
        ("vit_tiny_patch16_224", (224, 224), 16),
        ("convnext_atto", (32, 32), 1),
        ("convnext_atto", (64, 64), 2),
        ("convnext_atto", (97, 97), 4),
    ],
)
def test_patches_follow_the_size_of_the_images(
    model: str, size: tuple[int, int], patch: int, caplog: pytest.LogCaptureFixture
) -> None:
    own = 16 if model.startswith("vit") else 4
    with caplog.at_level(logging.INFO, logger="simssl"):
        network = encoder(model, (3, *size))[2]
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    assert first.kernel_size == first.stride == (patch, patch)
    said = (
        f"takes patches of {patch} x {patch}, not {own} x {own}, for images of {size[0]} x {size[1]}; 'patch' chooses"
    )
    assert (said in caplog.text) == (patch != own)


def test_a_patch_that_is_given_is_taken_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="simssl"):
        network = encoder("test_vit", (3, 32, 32), patch=8)[2]
    assert network.patch_embed.grid_size == (4, 4)
    assert not caplog.text


def test_views_of_another_size_are_encoded_too() -> None:
    """Small views come to the same network. Images that are no whole patches are padded."""
    network = encoder("test_vit", (3, 32, 32)).eval()
    for size in (16, 20, 27):
        assert network(torch.rand(2, 3, size, size)).shape == (2, 6)
    assert encoder("test_vit", (3, 29, 31))(torch.rand(2, 3, 29, 31)).shape == (2, 6)
    assert encoder("test_vit", patch=40)(torch.rand(2, 3, 32, 32)).shape == (2, 6)


@pytest.mark.parametrize(("size", "stem"), [(32, "small"), (64, "medium"), (128, "imagenet")])
def test_a_resnet_takes_the_stem_that_resnet18_takes(size: int, stem: str, caplog: pytest.LogCaptureFixture) -> None:
    plugin = REGISTRY.load("backbone", "resnet18")
    reference: Any = plugin(plugin.Params()).encoder((3, size, size), 6)[1]
    with caplog.at_level(logging.INFO, logger="simssl"):
        network = encoder("resnet18", (3, size, size))[2]
    assert str(network.conv1) == str(reference.conv1)
    assert type(network.maxpool) is type(reference.maxpool)
    assert (f"resnet18 takes the {stem} stem for images of" in caplog.text) == (stem != "imagenet")


@pytest.mark.parametrize(
    ("model", "params", "message"),
    [
        ("resnet18", {"patch": 4}, "resnet18 cuts no patches whose size can be set; leave out 'patch'"),
        ("test_vit", {"stem": "small"}, "test_vit cuts patches; set 'patch' instead of 'stem'"),
        (
            "poolformer_s12",
            {"stem": "small"},
            "poolformer_s12 begins with no convolution of stride 2; leave out 'stem'",
        ),
        (
            "edgenext_xx_small",
            {},
            r"no images of 3 x 28 x 28 \(.*\); give it images of 256 x 256, for which it is made",
        ),
        ("hgnetv2_b0", {}, r"\); try 'stem: imagenet', or give it images of 224 x 224"),
        ("mixer_s32_224", {}, r"\); set 'patch: 32', its only one, or give it images of 224 x 224"),
        ("xcit_nano_12_p8_224", {}, "; try another 'patch' than 4, or give it images of 224 x 224"),
        ("ghostnet_050", {"drop_path": 0.1}, "ghostnet_050 has no 'drop_path_rate' to set; leave out 'drop_path'"),
        ("test_resnet", {"pretrained": True, "stem": "small"}, "have the stem that timm's model has; leave out 'stem'"),
    ],
)
def test_what_cannot_be_is_said(model: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder(model, (3, 28, 28), **params)


# --- rates, gradients and layouts --------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["test_vit", "test_resnet", "test_convnext"])
def test_it_draws_nothing_by_itself_unless_it_is_asked_to(model: str) -> None:
    def draws(**rates: float) -> bool:
        network = encoder(model, **rates)
        before = torch.get_rng_state()
        network(torch.rand(8, 3, 32, 32, generator=torch.Generator()))
        return not torch.equal(before, torch.get_rng_state())

    assert not draws()
    assert draws(dropout=0.5)
    assert draws(drop_path=0.5)


@pytest.mark.parametrize("model", ["test_vit", "test_resnet", "test_convnext", "test_efficientnet"])
def test_channels_last_gives_the_same_and_a_gradient_for_every_weight(model: str) -> None:
    network = encoder(model)
    x = torch.rand(4, 3, 32, 32)
    expected = network(x)
    last = network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(x.to(memory_format=torch.channels_last)), expected, atol=1e-4, rtol=1e-4)
    last(x).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in last.parameters())


def test_building_a_model_draws_for_its_own_weights_alone() -> None:
    """What is asked about a model first is asked of another one, and moves no generator."""
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        encoder("test_nfnet")
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


@pytest.mark.parametrize("model", ["test_vit", "test_resnet", "test_convnext", "test_efficientnet"])
def test_no_host_waits_in_a_step(model: str) -> None:
    """So that its steps can be captured on CUDA."""
    network = encoder(model)
    x = torch.rand(4, 3, 32, 32)
    with refuse_host_synchronisation():
        network(x).square().sum().backward()


# --- weights -----------------------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path) -> Callable[..., tuple[Path, Any]]:
    """Writes the weights of a model with its classifier, and gives the model."""

    def write(model: str, name: str) -> tuple[Path, Any]:
        network = timm.create_model(model)
        file = tmp_path / name
        if name.endswith("safetensors"):
            save_file(network.state_dict(), file)
        else:
            torch.save({"state_dict": network.state_dict()}, file)
        return file, network

    return write


@pytest.mark.parametrize(("model", "name"), [("test_resnet", "w.safetensors"), ("test_vit", "w.pth")])
def test_weights_of_a_file_are_those_of_the_encoder(
    model: str, name: str, weights: Callable[..., tuple[Path, Any]]
) -> None:
    file, reference = weights(model, name)
    network = encoder(model, (3, 160, 160), pretrained=str(file))[2]
    expected = reference.state_dict()
    for key, value in network.state_dict().items():
        assert torch.equal(value, expected[key]), key
    assert not network.pretrained_cfg.get("state_dict"), "they would be kept twice, and copied with each teacher"


def test_the_positions_of_pretrained_weights_are_resized(weights: Callable[..., tuple[Path, Any]]) -> None:
    """The model's own patches are kept unless others are asked for."""
    file, _ = weights("test_vit", "w.pth")
    network = encoder("test_vit", (3, 64, 64), pretrained=str(file))[2]
    assert network.patch_embed.patch_size == (16, 16)
    assert network.patch_embed.grid_size == (4, 4)
    assert encoder("test_vit", (3, 64, 64), pretrained=str(file), patch=8)[2].patch_embed.grid_size == (8, 8)


def test_a_file_that_is_of_another_model_is_refused(weights: Callable[..., tuple[Path, Any]]) -> None:
    """Not one weight of it may be left out in silence."""
    file, _ = weights("test_resnet", "w.safetensors")
    with pytest.raises(ValueError, match=r"resnet18 cannot be had with these pretrained weights \(.*name a file that"):
        encoder("resnet18", pretrained=str(file))
    part = timm.create_model("test_resnet").layer1.state_dict(prefix="layer1.")
    torch.save(part, file.with_suffix(".pth"))
    with pytest.raises(ValueError, match=r"test_resnet cannot be had with these pretrained weights \(.*Missing key"):
        encoder("test_resnet", pretrained=str(file.with_suffix(".pth")))
    torch.save({}, file.with_suffix(".pth"))
    with pytest.raises(ValueError, match="holds no weights"):
        encoder("test_resnet", pretrained=str(file.with_suffix(".pth")))


class Unsafe:
    """Unpickling it would write a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.trace), "w")


def test_a_file_that_would_run_code_or_is_not_there_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": Unsafe(tmp_path / "trace")}}, tmp_path / "unsafe.pth")
    with pytest.raises(ValueError, match="holds no weights that can be read safely"):
        encoder("test_resnet", pretrained=str(tmp_path / "unsafe.pth"))
    assert not (tmp_path / "trace").exists()
    with pytest.raises(ValueError, match=r"'pretrained' names 'nowhere\.pth', and there is no such file"):
        encoder("test_resnet", pretrained="nowhere.pth")


def test_weights_that_cannot_be_had_are_told_in_one_sentence(
    simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = timm.create_model

    def offline(*names: Any, pretrained: bool = False, **others: Any) -> Any:
        if pretrained:
            raise OSError("We couldn't connect to the hub")
        return create(*names, **others)

    monkeypatch.setattr(timm, "create_model", offline)
    result = simssl("run", small(backbone={"name": "timm", "model": "test_resnet", "pretrained": True}))
    assert result.exit_code == 2
    assert result.stderr == (
        "backbone 'timm': test_resnet cannot be had with these pretrained weights (We couldn't connect to the hub); "
        "connect to the network once, name a file that fits, or leave out 'pretrained'\n"
    )


# --- names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "near"),
    [
        ("vit_tny_patch16_224", "vit_tiny_patch16_224 or "),
        ("ResNet50", "resnet50 or "),
        ("vit_small_patch16_224.dinno", "vit_small_patch16_224.dino or "),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(model: str, near: str, simssl: Command, small: Write) -> None:
    result = simssl("check", small(backbone={"name": "timm", "model": model}))
    assert result.exit_code == 2
    assert f"timm has no model '{model}'; did you mean {near}" in result.stderr
    assert "`simssl show backbone timm 'vit_tiny*'` lists those that fit a pattern" in result.stderr
    assert "small.yaml:" in result.stderr


def test_show_lists_the_models_of_a_pattern(simssl: Command) -> None:
    listed = simssl("show", "backbone", "timm", "vit_tiny_patch16_*").stdout.split()
    assert listed == timm.list_models("vit_tiny_patch16_*")
    assert "vit_small_patch16_224.dino" in simssl("show", "backbone", "timm", "vit_small*.dino").stdout.split()
    everything = len(timm.list_models())
    about = simssl("show", "backbone", "timm").stdout
    assert f"{everything:,} names can be chosen; `simssl show backbone timm PATTERN` lists those that fit" in about


def test_show_says_where_nothing_fits_a_pattern(simssl: Command) -> None:
    none = simssl("show", "backbone", "timm", "vittiny")
    assert none.exit_code == 2
    assert none.stderr.endswith("no name of backbone 'timm' fits 'vittiny'; try '*vittiny*'\n")
    shorter = simssl("show", "backbone", "timm", "vit_tiny*.dino*")
    assert shorter.stderr.endswith("no name of backbone 'timm' fits 'vit_tiny*.dino*'; try a shorter one\n")
    nothing = simssl("show", "backbone", "mlp", "a*")
    assert nothing.exit_code == 2
    assert nothing.stderr == (
        "backbone 'mlp' has no names to choose from; `simssl show backbone mlp` shows its parameters\n"
    )


# --- runs --------------------------------------------------------------------------------------------------


def require_resumed_and_encoded(file: Path, simssl: Command, stopped: Any, data: str) -> None:
    """Run a file to its end, and once more with a failure in between: the weights are the same. Then encode."""
    assert simssl("run", file, "--runs", "whole").exit_code == 0
    with stopped(3):
        assert simssl("run", file).exit_code == 1
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    (whole,) = Path("whole/small").iterdir()
    (run,) = Path("runs/small").iterdir()
    assert (whole / "metrics.json").read_text() == (run / "metrics.json").read_text()
    expected = encoded(whole, simssl, data)
    assert np.isfinite(expected).all()
    assert expected.std(0).min() > 0
    assert np.array_equal(encoded(run, simssl, data), expected)


def encoded(run: Path, simssl: Command, data: str) -> Any:
    assert simssl("encode", run, data, "-o", "out.npz", "--force").exit_code == 0
    with np.load("out.npz", allow_pickle=False) as arrays:
        return arrays["mean"]


@pytest.mark.parametrize(("model", "method"), [("test_vit", "simvae"), ("test_efficientnet", "simclr")])
def test_a_run_of_it_is_resumed_and_encodes(
    model: str, method: str, simssl: Command, small: Write, power_cut: Any
) -> None:
    network = {"name": "timm", "model": model} | ({"patch": 4} if model == "test_vit" else {})
    objective = {"name": method, "J": 3} if method == "simvae" else {"name": method}
    file = small(
        backbone=network,
        objective=objective,
        training={"views": 120, "batch_views": 24, "log_every": 1, "checkpoint_seconds": 0, "channels_last": True},
        evaluators=FEW,
    )
    require_resumed_and_encoded(file, simssl, power_cut, "digits")


MODELS = [
    ("vit_tiny_patch16_224", 32),
    ("vit_tiny_patch16_224", 64),
    ("convnext_atto", 32),
    ("resnet50", 32),
    ("efficientnet_b0", 32),
    ("efficientnet_b0", 64),
]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simclr", "simvae"])
@pytest.mark.parametrize(("model", "size"), MODELS)
def test_models_that_people_use_are_run_resumed_and_encode(
    model: str, size: int, method: str, simssl: Command, small: Write, power_cut: Any
) -> None:
    data = {"name": "shapes", "size": size, "images": 40, "test_images": 20}
    file = small(
        dataset=data,
        backbone={"name": "timm", "model": model},
        objective={"name": method, "J": 2} if method == "simvae" else {"name": method},
        training={"views": 80, "batch_views": 16, "log_every": 1, "checkpoint_seconds": 0},
        evaluators=FEW,
    )
    require_resumed_and_encoded(file, simssl, power_cut, json.dumps(data))


def test_the_features_themselves_are_the_output_if_that_is_asked_for() -> None:
    with_linear = encoder("test_resnet").eval()
    features = with_linear[-1].in_features
    alone = backbone("test_resnet", linear=False).encoder((3, 32, 32), features).eval()
    alone.load_state_dict({name: values for name, values in with_linear.state_dict().items() if name[0] != "3"})
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(with_linear(x), with_linear[-1](alone(x)))
    with pytest.raises(ValueError, match=f"has {features} features, and 6 outputs are asked for; set latent_dim to"):
        encoder("test_resnet", linear=False)

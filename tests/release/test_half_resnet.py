"""Half the ResNet: its layers, beside those of the built-in `resnet18` and of timm's network of half the width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from simssl.plugin.registry import Registry

FAULTS = Path(__file__).parents[2] / "experiments" / "release" / "faults.py"
REGISTRY = Registry(builtins_only=True, files=(FAULTS,))


def backbone(name: str, **params: object) -> Any:
    plugin = REGISTRY.load("backbone", name)
    return plugin(plugin.Params(**params))


def convolutions(network: nn.Module) -> list[tuple[int, ...]]:
    """The shapes of the 3 x 3 convolutions, in their order."""
    weights = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
    return [tuple(weight.shape) for weight in weights if weight.shape[-1] == 3]


def halved(shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """With half of the channels but those of images."""
    return [tuple(n // 2 if n >= 64 else n for n in shape) for shape in shapes]


def test_it_is_the_built_in_resnet18_with_half_of_the_channels_and_without_the_last_stage() -> None:
    shape = (3, 32, 32)
    whole, half = backbone("resnet18"), backbone("faults")
    assert convolutions(half.encoder(shape, 8)) == halved(convolutions(whole.encoder(shape, 8)))[:-4]
    assert convolutions(half.decoder(shape, 8)) == halved(convolutions(whole.decoder(shape, 8)))[4:]


def test_the_half_encoder_computes_what_a_halved_resnet18_would() -> None:
    """timm's own network of half the width, its last stage taken out, with the same weights."""
    torch.manual_seed(0)
    ours = backbone("faults").encoder((3, 32, 32), 8).eval()
    network: Any = timm.create_model("resnet18", channels=(32, 64, 128, 256), num_classes=8)
    network.conv1 = nn.Conv2d(3, 32, 3, 1, 1, bias=False)
    network.bn1 = nn.BatchNorm2d(32)
    network.maxpool = network.layer4 = nn.Identity()
    network.layer1[0].conv1 = nn.Conv2d(32, 32, 3, 1, 1, bias=False)
    network.layer1[0].downsample = None
    network.fc = nn.Linear(128, 8)
    network.load_state_dict(dict(zip(network.state_dict(), ours[1:].state_dict().values(), strict=True)))
    x_BCHW = torch.rand(2, 3, 32, 32)
    mean_C11 = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std_C11 = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    torch.testing.assert_close(ours(x_BCHW), network.eval()((x_BCHW - mean_C11) / std_C11))


def test_half_of_the_decoders_blocks_have_no_skip() -> None:
    """A block whose convolutions are silenced passes its input on by its skip, or nothing."""
    for skips, passing in (("all", 6), ("half", 3)):
        decoder = backbone("faults", decoder_skips=skips).decoder((3, 32, 32), 8).eval()
        assert len(decoder.blocks) == 6
        passes = []
        for block in decoder.blocks:
            first, second = (module for module in block.modules() if getattr(module, "kernel_size", 0) == (3, 3))
            nn.init.zeros_(second.weight)
            passes.append(bool(block(torch.rand(1, first.in_channels, 8, 8)).any()))
        assert sum(passes) == passing

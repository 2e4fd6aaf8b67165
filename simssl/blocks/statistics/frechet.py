"""Fréchet distance between two sets of images, in the features of a network.

The distance is torchmetrics'; the networks are taken by name. F counts features.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simssl.blocks.messages import reason

SIDE = 16
"""Most pixels of height and width in `PixelFeatures`."""


class MissingFeatures(Exception):
    """A library or pretrained weights that this machine lacks. The message says what to put where."""


class PixelFeatures(nn.Module):
    """The image itself, averaged down to at most 16 x 16 pixels: a cheap stand-in without a download."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        H, W = x_BCHW.shape[2:]
        size = (min(SIDE, H), min(SIDE, W))
        return F.adaptive_avg_pool2d(x_BCHW, size).flatten(1)


class TimmFeatures(nn.Module):
    """The features before the classifier of a pretrained model of timm's; images are resized to the size it takes."""

    def __init__(self, network: nn.Module, config: Any) -> None:
        super().__init__()
        self.network = network.eval()
        self.size = config.input_size[1:]
        self.register_buffer("mean_3", torch.tensor(config.mean))
        self.register_buffer("std_3", torch.tensor(config.std))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_B3HW = with_three_channels(x_BCHW)
        x_B3HW = F.interpolate(x_B3HW, self.size, mode="bicubic", antialias=True).clamp(0, 1)
        mean_311 = self.get_buffer("mean_3")[:, None, None]
        std_311 = self.get_buffer("std_3")[:, None, None]
        features_BF: Tensor = self.network((x_B3HW - mean_311) / std_311)
        return features_BF.flatten(1)


def with_three_channels(x_BCHW: Tensor) -> Tensor:
    """Grey images with their channel three times; others as they are."""
    is_grey = x_BCHW.shape[1] == 1
    return x_BCHW.expand(-1, 3, -1, -1) if is_grey else x_BCHW


def check_features(name: str) -> None:
    """ValueError if there is no feature extractor of this name: inception, pixels, or timm:MODEL."""
    if name in ("inception", "pixels"):
        return
    if not name.startswith("timm:"):
        raise ValueError(f"'features' must be inception, pixels or timm:MODEL, not '{name}'")
    import timm

    model = name.removeprefix("timm:")
    if not timm.is_model_pretrained(model):
        missing = f"timm has no pretrained model '{model}'" if model else "'timm:' lacks the name of a model"
        raise ValueError(f"{missing}; timm.list_pretrained() lists them")


def frechet_distance(name: str, real: Iterable[Tensor], generated: Iterable[Tensor], device: torch.device) -> float:
    """The squared Fréchet distance between two sets of images, which come in batches (B, C, H, W) in [0, 1].

    It is |m - m'|^2 + tr(S + S' - 2 (S S')^1/2) of the Gaussians with the means m and the unbiased covariances S of
    the features. `name`: inception (Heusel et al. 2017: the FID, on Inception v3's 2,048 features), pixels, or
    timm:MODEL. MissingFeatures if it needs what is not here. Grey images are taken as colour images where the network
    wants three channels.
    """
    real = iter(real)
    first_BCHW = next(real)
    _, C, H, W = first_BCHW.shape
    with torch.random.fork_rng(devices=[]):  # networks draw weights before they are given theirs
        metric = _metric(name, (C, H, W)).to(device)
    for x_BCHW in itertools.chain([first_BCHW], real):
        metric.update(with_three_channels(x_BCHW) if name == "inception" else x_BCHW, real=True)
    for x_BCHW in generated:
        metric.update(with_three_channels(x_BCHW) if name == "inception" else x_BCHW, real=False)
    return float(metric.compute())


def _metric(name: str, shape: tuple[int, int, int]) -> Any:
    from torchmetrics.image.fid import FrechetInceptionDistance

    if name == "inception":
        return _inception(FrechetInceptionDistance)
    network: nn.Module = PixelFeatures()
    if name != "pixels":
        model = name.removeprefix("timm:")
        network = _timm(model)
    return FrechetInceptionDistance(network, normalize=True, input_img_size=shape)


def _inception(metric: Any) -> Any:
    if importlib.util.find_spec("torch_fidelity") is None:
        raise MissingFeatures(
            "the FID needs torch-fidelity, which is not installed: python -m pip install torch-fidelity"
        )
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3 as url

    name = url.rsplit("/", 1)[-1]
    weights = Path(torch.hub.get_dir(), "checkpoints", name)
    wrong = "are missing and could not be downloaded"
    if weights.exists():
        wrong = "are damaged"
    try:
        return metric(2048, normalize=True)
    except Exception as error:
        raise MissingFeatures(
            f"the Inception weights {name} {wrong} ({reason(error)}); download {url} into $TORCH_HOME/hub/checkpoints "
            "($TORCH_HOME is ~/.cache/torch if it is not set), and `simssl evaluate` the run"
        ) from error


def _timm(model: str) -> TimmFeatures:
    import timm

    try:
        network = timm.create_model(model, pretrained=True, num_classes=0)
    except Exception as error:
        raise MissingFeatures(
            f"the weights of timm's {model} are neither in $HF_HOME (~/.cache/huggingface if it is not set) nor could "
            f"be downloaded ({reason(error)}); call timm.create_model('{model}', pretrained=True) once with a network, "
            "and copy that folder"
        ) from error
    return TimmFeatures(network, timm.get_pretrained_cfg(model))

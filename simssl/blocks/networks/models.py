"""timm's models: what they are called, what one can be told, and weights from a file. timm is loaded on first use."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from simssl.blocks.messages import reason


def names_of_models(pattern: str = "") -> list[str]:
    """The models whose names fit a pattern such as "vit_tiny*", sorted.

    A pattern with a dot, such as "vit_small*.dino*", is of the names of pretrained weights, MODEL.WEIGHTS.
    """
    import timm

    listed = timm.list_pretrained if "." in pattern else timm.list_models
    names: list[str] = listed(pattern)
    return names


def require_model(name: str) -> None:
    """ValueError with the nearest names if there is no model of this name, or no weights of it."""
    import timm

    known: list[str] = timm.list_pretrained() if "." in name else timm.list_models()
    if name in known:
        return
    near = difflib.get_close_matches(name.lower(), known)
    question = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(
        f"timm has no model '{name}'; {question}`simssl show backbone timm 'vit_tiny*'` lists those that fit a pattern"
    )


class ModelFacts(NamedTuple):
    """What is known of a model before it is built for the images."""

    parameters: frozenset[str]
    """The names of what it can be told."""
    size: tuple[int, int]
    """Height and width of the images that it is made for."""
    fixed: bool
    """True if it is built for images of one size."""
    first: tuple[str, ...]
    """The names of its first convolutions."""
    classifiers: tuple[str, ...]
    patch: int | None
    """Pixels along the side of its patches; None if it cuts none whose size can be set."""
    joins: bool
    """True if it joins patches later."""


@cache
def facts_of_model(name: str) -> ModelFacts:
    """The facts of a model, from one that is built and thrown away."""
    import timm

    with torch.random.fork_rng(devices=[]):
        network: Any = timm.create_model(name, num_classes=0)
    cfg: Mapping[str, Any] = network.pretrained_cfg
    parameters = _parameters(type(network))
    patch = _own_patch(network, parameters)
    _, height, width = cfg["input_size"]
    reduction = network.feature_info[-1]["reduction"] if patch else 1
    return ModelFacts(
        parameters=frozenset(parameters),
        size=(height, width),
        fixed=bool(cfg.get("fixed_input_size")),
        first=_as_tuple(cfg.get("first_conv")),
        classifiers=_as_tuple(cfg.get("classifier")),
        patch=patch,
        joins=patch is not None and reduction > patch,
    )


def _parameters(network: type[nn.Module]) -> dict[str, Any]:
    """The defaults of what a class of networks can be told, with what its bases can."""
    defaults: dict[str, Any] = {}
    for part in network.__mro__:
        if part is nn.Module:
            break
        for name, parameter in inspect.signature(part).parameters.items():
            defaults.setdefault(name, parameter.default)
    return defaults


def _own_patch(network: nn.Module, parameters: dict[str, Any]) -> int | None:
    """The side of its patches; None if they cannot be set, or if it cuts patches of several sizes."""
    default = parameters.get("patch_size")
    if default is None or isinstance(default, tuple):
        return None
    for module in network.modules():
        size = getattr(module, "patch_size", None)
        if isinstance(size, tuple) and len(set(size)) == 1:
            size = size[0]
        if isinstance(size, int):
            return size
    return default if isinstance(default, int) else None


def _as_tuple(names: Any) -> tuple[str, ...]:
    """The names of layers, of which timm gives one, several or none."""
    if not names:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)


def weights_in_file(path: str, classifiers: Sequence[str]) -> dict[str, Tensor]:
    """The weights in a file, but for those of the classifiers; ValueError if they cannot be read."""
    from timm.models import load_state_dict

    file = Path(path).expanduser()
    if not file.is_file():
        raise ValueError(f"'pretrained' names '{path}', and there is no such file; give that of a safetensors file")
    try:
        weights = load_state_dict(str(file), weights_only=True)
    except Exception as error:
        raise ValueError(f"'{path}' holds no weights that can be read safely ({reason(error)})") from error
    if not isinstance(weights, Mapping) or not weights:
        raise ValueError(f"'{path}' holds no weights")
    beginnings = tuple(f"{name}." for name in classifiers)
    return {name: value for name, value in weights.items() if not name.startswith(beginnings)}

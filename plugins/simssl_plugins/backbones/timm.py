"""Any encoder of timm's by its name (Wightman 2019), and a decoder of upsampling convolutions beside it."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import nn

import simssl
from simssl.api import Backbone, Shape
from simssl.blocks.messages import reason
from simssl.blocks.networks import (
    ModelFacts,
    PadToMultiple,
    Standardize,
    StemName,
    facts_of_model,
    fit_stem,
    names_of_models,
    require_model,
    stem_of_size,
    upsampling_decoder,
    weights_in_file,
)

MOST_PATCHES = 12
"""Along the shorter side, where the patch is not given and the model's own is not smaller."""


class Timm(Backbone):
    """A model of timm's without its classifier, and a linear layer to as many outputs as are asked for, if wanted.

    `simssl show backbone timm 'vit_tiny*'` lists the models. Images are standardised with the model's own mean and
    deviation. A model that is built for one size is built for the images'. The decoder is no mirror: upsampling
    convolutions, whatever the model.
    """

    class Params(simssl.Params):
        model: str = Field(examples=["vit_tiny_patch16_224"])
        """A name of timm.list_models(), such as vit_tiny_patch16_224; or of timm.list_pretrained(), such as
        vit_small_patch16_224.dino, where the weights have a name, too."""
        patch: int | None = Field(None, ge=1)
        """Pixels along the side of a patch, for models that cut images into patches. Without it: the model's own, or
        for smaller images the least power of two that leaves at most 12 patches along the shorter side (4 at 32 pixels,
        8 at 64). Where the model joins patches later (ConvNeXt, Swin) it goes by the size as `stem` does: a quarter of
        the model's own, or half."""
        stem: Literal["auto", "small", "medium", "imagenet"] = "auto"
        """For convolutional models. medium: the first convolution has stride 1, and 3 x 3 pixels if it had 7 x 7;
        small: there is no max-pool, either; imagenet: as timm has it. auto: by the shorter side, small up to 48
        pixels, medium up to 96; imagenet if the weights are pretrained."""
        pretrained: bool | str = False
        """Start from timm's weights (true), which are downloaded once; or from those in a file, safetensors or torch's.
        The run's hash holds the path as it is written, not what is in the file."""
        dropout: float = Field(0, ge=0, lt=1)
        "The model's rate of dropout. Above 0 it draws numbers of its own, and cannot be trained on several processes."
        drop_path: float = Field(0, ge=0, lt=1)
        "The model's rate of stochastic depth (Huang et al. 2016), with draws of its own, too."
        linear: bool = True
        """Whether a linear layer follows the model's features. Without it they are the representation, and latent_dim
        has to be their number. Source: none has one in lightly's and solo-learn's benchmarks."""

        @field_validator("model")
        @classmethod
        def _is_a_model(cls, name: str) -> str:
            require_model(name)
            return name

    @classmethod
    def choices(cls, pattern: str) -> Sequence[str]:
        return names_of_models(pattern)

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        facts = facts_of_model(self.params.model)
        patch = self._patch(facts, shape)
        stem = self._stem(facts, shape)
        network = self._created(facts, shape, patch)
        has_new_stem = stem != "imagenet" and fit_stem(network, facts.first, stem)
        self._tell_of_stem(stem, has_new_stem, shape)
        cfg = network.pretrained_cfg
        embedding = nn.Sequential(
            Standardize(shape[0], cfg["mean"], cfg["std"]),
            PadToMultiple(patch or 1),
            network,
        )
        try:
            features = _features(embedding, shape)
        except Exception as error:  # whatever the model raises
            change = "try 'stem: imagenet'" if has_new_stem else ""
            raise self._unfit(facts, shape, error, change or _other(patch)) from error
        if self.params.linear:
            return nn.Sequential(*embedding, nn.Linear(features, outputs))
        if features != outputs:
            raise ValueError(
                f"{self.params.model} has {features} features, and {outputs} outputs are asked for; set latent_dim to "
                f"{features}, or leave out 'linear: false'"
            )
        return embedding

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        return upsampling_decoder(shape, inputs)

    def _patch(self, facts: ModelFacts, shape: Shape) -> int | None:
        """Pixels along the side of a patch; None for a model that cuts no patches."""
        given: int | None = self.params.patch
        own = facts.patch
        if own is None:
            if given is not None:
                raise ValueError(f"{self.params.model} cuts no patches whose size can be set; leave out 'patch'")
            return None
        if given is not None or self.params.pretrained:
            return given or own
        fitting = _part_of(own, shape) if facts.joins else _least_patch(own, shape)
        if fitting != own:
            _say(f"{self.params.model} takes patches of {fitting} x {fitting}, not {own} x {own},", shape, "patch")
        return fitting

    def _stem(self, facts: ModelFacts, shape: Shape) -> StemName:
        """The layers before the stages. A model that cuts patches, or that is built for one size, keeps its own."""
        given: Literal["auto", "small", "medium", "imagenet"] = self.params.stem
        if given in ("small", "medium"):
            if self.params.pretrained:
                raise ValueError("the pretrained weights have the stem that timm's model has; leave out 'stem'")
            if facts.patch:
                raise ValueError(f"{self.params.model} cuts patches; set 'patch' instead of 'stem'")
        if given != "auto":
            return given
        if self.params.pretrained or facts.fixed or facts.patch:
            return "imagenet"
        return stem_of_size(*shape[1:])

    def _tell_of_stem(self, stem: StemName, is_new: bool, shape: Shape) -> None:
        """Say which stem is taken; ValueError if one is asked for that cannot be."""
        if is_new and self.params.stem == "auto":
            _say(f"{self.params.model} takes the {stem} stem", shape, "stem")
        if not is_new and self.params.stem in ("small", "medium"):
            raise ValueError(f"{self.params.model} begins with no convolution of stride 2; leave out 'stem'")

    def _created(self, facts: ModelFacts, shape: Shape, patch: int | None) -> Any:
        """timm's model for images of this shape, without a classifier; ValueError if it cannot be had."""
        import timm

        options = self._options(facts, shape, patch) | self._weights(facts)
        try:
            network: Any = timm.create_model(self.params.model, num_classes=0, in_chans=shape[0], **options)
        except Exception as error:  # whatever the model or the hub raises
            if isinstance(error, TypeError) and "patch_size" in str(error):  # timm sets it already
                raise self._unfit(facts, shape, error, f"set 'patch: {facts.patch}', its only one") from error
            if not self.params.pretrained:
                raise self._unfit(facts, shape, error, _other(patch)) from error
            raise ValueError(
                f"{self.params.model} cannot be had with these pretrained weights ({_short(error)}); connect to the "
                "network once, name a file that fits, or leave out 'pretrained'"
            ) from error
        network.pretrained_cfg.pop("state_dict", None)  # the weights of a file, once more
        return network

    def _options(self, facts: ModelFacts, shape: Shape, patch: int | None) -> dict[str, Any]:
        """What timm's model is told beside its name.

        No residual branch starts at zero, as it would by timm's default: then no gradient reached its weights.
        """
        _, height, width = shape
        multiple = patch or 1
        size = (math.ceil(height / multiple) * multiple, math.ceil(width / multiple) * multiple)
        options: dict[str, Any] = {
            "img_size": size,
            "patch_size": None if patch == facts.patch else patch,
            "dynamic_img_size": height == width,  # older versions take all positions for a square's
            "zero_init_last": False,
        }
        for told, parameter in (("drop_rate", "dropout"), ("drop_path_rate", "drop_path")):
            options[told] = getattr(self.params, parameter)
            if options[told] and told not in facts.parameters:
                raise ValueError(f"{self.params.model} has no '{told}' to set; leave out '{parameter}'")
        return {name: value for name, value in options.items() if name in facts.parameters}

    def _weights(self, facts: ModelFacts) -> dict[str, Any]:
        """What timm is told of the weights to begin with."""
        given: bool | str = self.params.pretrained
        if isinstance(given, bool):
            return {"pretrained": given}
        weights = weights_in_file(given, facts.classifiers)
        source = {"state_dict": weights, "num_classes": 0, "label_offset": 0, "custom_load": False}
        return {"pretrained": True, "pretrained_cfg_overlay": source}

    def _unfit(self, facts: ModelFacts, shape: Shape, error: Exception, change: str) -> ValueError:
        images = " x ".join(map(str, shape))
        made_for = " x ".join(map(str, facts.size))
        first = f"{change}, or " if change else ""
        return ValueError(
            f"{self.params.model} takes no images of {images} ({_short(error)}); {first}give it images of {made_for}, "
            "for which it is made"
        )


def _other(patch: int | None) -> str:
    return f"try another 'patch' than {patch}" if patch else ""


def _say(what: str, shape: Shape, parameter: str) -> None:
    _, height, width = shape
    logging.getLogger("simssl").info(f"{what} for images of {height} x {width}; '{parameter}' chooses another")


def _part_of(own: int, shape: Shape) -> int:
    """A patch that is smaller than the model's own as a stem of this size is."""
    part = {"small": 4, "medium": 2, "imagenet": 1}[stem_of_size(*shape[1:])]
    return max(1, own // part)


def _least_patch(own: int, shape: Shape) -> int:
    """The least power of two, up to the model's own patch, that leaves few patches along the shorter side."""
    patch = 1
    while min(shape[1:]) > MOST_PATCHES * patch:
        patch *= 2
    return min(own, patch)


@torch.no_grad()
def _features(embedding: nn.Module, shape: Shape) -> int:
    """The number of features that it makes of an image."""
    embedding.eval()
    features_2F = embedding(torch.zeros(2, *shape))
    embedding.train()
    _, features = features_2F.shape
    return int(features)


def _short(error: Exception) -> str:
    text = reason(error)
    return text if len(text) <= 200 else f"{text[:200]} ..."


@simssl.hookimpl
def simssl_backbone() -> type[Backbone]:
    return Timm

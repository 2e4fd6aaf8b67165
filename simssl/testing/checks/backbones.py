"""Checks of backbones: the encoder, and its mirror if it has one, on inputs of several shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from simssl.testing.fixtures import default_params
from simssl.testing.outcomes import Check
from simssl.testing.steps import untouched

SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "image": (
        (1, 28, 28),
        (3, 32, 32),
        (3, 64, 64),
        (1, 17, 35),
        (3, 97, 100),
    ),
    "vector": ((40,), (1,), (7,)),
    "tokens": ((8, 30), (1, 2), (17, 100)),
}
"""The shapes that are tried, by what a backbone takes. Of tokens these are (L, vocabulary)."""


def networks_have_the_shapes_they_are_asked_for(backbone: Any, folder: Path) -> None:
    """Encoders and decoders fit images of 1 and 3 channels, square and not, of even and of odd sides; or vectors, or
    tokens, as `input` says. Either may refuse a shape with a ValueError; some shape must be accepted."""
    for shape, encoder, decoder in _accepted(backbone):
        x = _example(backbone, shape)
        z_BD = encoder(x)
        encoded = tuple(z_BD.shape)
        assert encoded == (4, 7), f"the encoder makes {encoded} of {tuple(x.shape)}, not (4, 7)"
        assert bool(z_BD.isfinite().all()), f"the encoder makes numbers of {tuple(x.shape)} that are not finite"
        if decoder is None:
            continue
        logits = decoder(torch.randn(4, 5))
        decoded = tuple(logits.shape)
        asked = (4, *shape)
        assert decoded == asked, f"the decoder makes {decoded}, not {asked}"


def no_image_depends_on_the_others_in_evaluation(backbone: Any, folder: Path) -> None:
    """An image has the same output alone as in a batch, in evaluation."""
    for name, network, x in _both(backbone):
        network(x)
        with torch.no_grad():
            together = network.eval()(x)[:1]
            alone = network(x[:1])
            difference = (together - alone).abs().max()
            assert difference <= 1e-4 * together.abs().max(), f"the {name} depends on the batch"


def gradient_reaches_every_weight(backbone: Any, folder: Path) -> None:
    """No weight of the encoder or of the decoder is without a gradient."""
    for name, network, x in _both(backbone):
        network(x).square().sum().backward()
        unreached = untouched(network)
        assert not unreached, f"no gradient reaches {', '.join(unreached)} of the {name}"


def weights_follow_the_seed(backbone: Any, folder: Path) -> None:
    """The seed of torch's default generator, and nothing else, decides the initial weights."""

    def weights_of(seed: int) -> dict[str, Tensor]:
        weights = {}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for name, network, _ in _both(backbone):
                weights[name] = parameters_to_vector(network.parameters())
        return weights

    first = weights_of(0)
    again = weights_of(0)
    other = weights_of(1)
    for name, weights in first.items():
        assert torch.equal(weights, again[name]), f"the same seed gives the {name} other weights"
        assert not torch.equal(weights, other[name]), f"another seed gives the {name} the same weights"


def _both(backbone: Any) -> Iterator[tuple[str, nn.Module, Tensor]]:
    """An encoder and, if there is one, a decoder of the first shape that is accepted, with an input of each."""
    shape, encoder, decoder = next(_accepted(backbone))
    yield "encoder", encoder, _example(backbone, shape)
    if decoder is not None:
        yield "decoder", decoder, torch.randn(4, 5)


def _example(backbone: Any, shape: tuple[int, ...]) -> Tensor:
    """Four inputs of this shape. Of tokens the first is a text without a word, and the last fills its row."""
    if backbone.input != "tokens":
        return torch.rand(4, *shape)
    length, vocabulary = shape
    tokens_4L = torch.randint(1, vocabulary, (4, length))
    words_4 = torch.linspace(0, length, 4).long()
    is_word_4L = torch.arange(length) < words_4[:, None]
    return tokens_4L * is_word_4L


def _accepted(backbone: Any) -> Iterator[tuple[tuple[int, ...], nn.Module, nn.Module | None]]:
    """Encoders to 7 dimensions and decoders from 5, of each shape that the backbone does not refuse as it is built.

    The decoders are None if the backbone has none.
    """
    instance = backbone(default_params(backbone))
    refused = []
    kinds = ", ".join(SHAPES)
    assert backbone.input in SHAPES, f"its `input` is '{backbone.input}', none of {kinds}"
    shapes = SHAPES[backbone.input]
    for shape in shapes:
        try:
            encoder = instance.encoder(shape, 7)
            decoder = instance.decoder(shape, 5) if instance.decodes else None
        except ValueError as error:
            refused.append(f"{shape}: {error}")
        else:
            yield shape, encoder, decoder
    assert len(refused) < len(shapes), f"it refuses every shape, {'; '.join(refused)}"


CHECKS: tuple[Check, ...] = (
    networks_have_the_shapes_they_are_asked_for,
    no_image_depends_on_the_others_in_evaluation,
    gradient_reaches_every_weight,
    weights_follow_the_seed,
)

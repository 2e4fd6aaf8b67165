"""A caption and attributes of the suite's small data, and small networks for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from simssl.api import Backbone, Modality
from simssl.blocks.text import to_tokens, vocabulary_of
from simssl.experiment.model import Choice
from simssl.params import Params

CORNERS = ("nw", "ne", "sw", "se")
"""The names of the corners that a bright square of the small data is in."""


def tiny_modalities(corner_N: Tensor) -> dict[str, Modality]:
    """The modalities of images whose square is in these corners: `caption`, tokens, and `attributes`, a vector.

    A caption is "square" and the corner's name; one more word would fit. The attributes are north and west.
    """
    texts = [f"square {CORNERS[corner]}" for corner in corner_N.tolist()]
    vocabulary = vocabulary_of(["square", *CORNERS])
    caption = Modality(to_tokens(texts, vocabulary, 3), vocabulary=vocabulary)
    attributes_N2 = torch.stack([corner_N < 2, corner_N % 2 == 0], dim=1).to(torch.float32)
    return {"caption": caption, "attributes": Modality(attributes_N2, names=("north", "west"))}


class TinyText(Backbone):
    """A linear layer of the words' embeddings, and one to all words."""

    input = "tokens"

    def encoder(self, shape: tuple[int, int], outputs: int) -> nn.Module:
        length, vocabulary = shape
        return nn.Sequential(nn.Embedding(vocabulary, 8), nn.Flatten(), nn.Linear(8 * length, outputs))

    def decoder(self, shape: tuple[int, int], inputs: int) -> nn.Module:
        length, vocabulary = shape
        return nn.Sequential(nn.Linear(inputs, length * vocabulary), nn.Unflatten(1, shape))


class TinyVector(Backbone):
    """A linear layer each way."""

    input = "vector"

    def encoder(self, shape: tuple[int], outputs: int) -> nn.Module:
        return nn.Linear(*shape, outputs)

    def decoder(self, shape: tuple[int], inputs: int) -> nn.Module:
        return nn.Linear(inputs, *shape)


TINY_BACKBONES: dict[str, type[Backbone]] = {"tiny_text": TinyText, "tiny_vector": TinyVector}
"""The small networks of the modalities, by the names that the suite's experiment has for them."""

TINY_MODALITIES = {
    "caption": Choice("backbone", "tiny_text", Params()),
    "attributes": Choice("backbone", "tiny_vector", Params()),
}
"""The section `modalities` of the suite's experiment."""

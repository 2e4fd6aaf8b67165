"""Text transformer: a small plain transformer over the words of a text (Vaswani et al. 2017), and its mirror.

B texts of L words, H heads. W is the width; there are two layer norms, attention and an MLP in each layer, pre-norm.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

import simssl
from simssl.api import Backbone


class TextTransformer(Backbone):
    """A plain transformer over tokens: learned positions, padding masked, the mean over the words.

    The decoder gives the logits of all words at once from one vector, without looking at the words before. Padding is a
    word to it like any other, so that it says where a text ends. Neither has dropout.
    """

    class Params(simssl.Params):
        width: int = Field(64, ge=1)
        "Width of the words' vectors. Ours, for captions of a few words."
        layers: int = Field(2, ge=1)
        "Layers, each of attention and an MLP of four times the width. Ours."
        heads: int = Field(4, ge=1)
        "Heads of the attention; they divide the width. Ours."

        @model_validator(mode="after")
        def _divides(self) -> TextTransformer.Params:
            if self.width % self.heads:
                raise ValueError(f"the {self.heads} 'heads' do not divide the 'width' of {self.width}")
            return self

    input = "tokens"

    def encoder(self, shape: tuple[int, int], outputs: int) -> nn.Module:
        return _Encoder(shape, outputs, self.params)

    def decoder(self, shape: tuple[int, int], inputs: int) -> nn.Module:
        return _Decoder(shape, inputs, self.params)


class _Encoder(nn.Module):
    """From tokens (B, L) to (B, outputs)."""

    def __init__(self, shape: tuple[int, int], outputs: int, params: TextTransformer.Params) -> None:
        super().__init__()
        length, vocabulary = shape
        self.words = nn.Embedding(vocabulary, params.width)
        self.positions = _positions(length, params.width)
        self.layers = _layers(params)
        self.norm = nn.LayerNorm(params.width)
        self.out = nn.Linear(params.width, outputs)
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, tokens_BL: Tensor) -> Tensor:
        is_word_BL = tokens_BL != 0
        itself_LL = torch.eye(tokens_BL.shape[1], dtype=torch.bool, device=tokens_BL.device)
        seen_B1LL = (is_word_BL[:, None, :] | itself_LL)[:, None]
        h_BLW = self.words(tokens_BL) + self.positions
        for layer in self.layers:
            h_BLW = layer(h_BLW, seen_B1LL)
        h_BLW = self.norm(h_BLW) * is_word_BL[..., None]
        words_B1 = is_word_BL.sum(1, keepdim=True).clamp(min=1)
        mean_BW = h_BLW.sum(1) / words_B1
        outputs: Tensor = self.out(mean_BW)
        return outputs


class _Decoder(nn.Module):
    """From (B, inputs) to logits (B, L, vocabulary)."""

    def __init__(self, shape: tuple[int, int], inputs: int, params: TextTransformer.Params) -> None:
        super().__init__()
        length, vocabulary = shape
        self.inputs = nn.Linear(inputs, params.width)
        self.positions = _positions(length, params.width)
        self.layers = _layers(params)
        self.norm = nn.LayerNorm(params.width)
        self.words = nn.Linear(params.width, vocabulary)

    def forward(self, z_BD: Tensor) -> Tensor:
        h_BLW = self.inputs(z_BD)[:, None] + self.positions
        for layer in self.layers:
            h_BLW = layer(h_BLW, None)
        logits: Tensor = self.words(self.norm(h_BLW))
        return logits


class _Layer(nn.Module):
    """Attention and an MLP, each behind a layer norm and beside a residual connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.before_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h_BLW: Tensor, seen_B1LL: Tensor | None) -> Tensor:
        """`seen` says which words each word sees; None if it sees all."""
        h_BLW = h_BLW + self._attention(self.before_attention(h_BLW), seen_B1LL)
        mixed: Tensor = self.mlp(self.before_mlp(h_BLW))
        return h_BLW + mixed

    def _attention(self, h_BLW: Tensor, seen_B1LL: Tensor | None) -> Tensor:
        parts_BLHw = self.query_key_value(h_BLW).unflatten(2, (3 * self.heads, -1))
        q_BHLw, k_BHLw, v_BHLw = parts_BLHw.transpose(1, 2).chunk(3, dim=1)
        values_BHLw = F.scaled_dot_product_attention(q_BHLw, k_BHLw, v_BHLw, attn_mask=seen_B1LL)
        values: Tensor = self.attended(values_BHLw.transpose(1, 2).flatten(2))
        return values


def _layers(params: TextTransformer.Params) -> nn.ModuleList:
    return nn.ModuleList(_Layer(params.width, params.heads) for _ in range(params.layers))


def _positions(length: int, width: int) -> nn.Parameter:
    return nn.Parameter(0.02 * torch.randn(length, width))


@simssl.hookimpl
def simssl_backbone() -> type[Backbone]:
    return TextTransformer

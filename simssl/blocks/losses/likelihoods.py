"""Likelihoods p(x | z) of images and of modalities, as functions of a decoder's logits; log densities in nats.

L counts the words of a text, V those of the vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core.core_schema import ValidationInfo
from torch import Tensor, nn

from simssl.blocks.losses.gaussian import LOG_2PI, log_normal
from simssl.blocks.precision import at_least_float32

LikelihoodName = Literal["gaussian", "bernoulli"]
Variance = Annotated[float, Field(gt=0)] | Literal["learned"] | None

SIGMA2_X = 0.01
"""The variance of a Gaussian likelihood; where it is learned, its first. Source: the paper's release (log -4.6)."""


@dataclass(frozen=True)
class Gaussian:
    """N(x; sigmoid(logits), sigma2_x I): -SSE/(2 sigma2_x) - (pixels/2) log(2 pi sigma2_x)."""

    sigma2_x: float | Tensor

    def log_prob(self, x_BCHW: Tensor, logits_BCHW: Tensor) -> Tensor:
        """log p(x | z) (B,), summed over channels and pixels, in float32."""
        log_prob_BCHW = log_normal(x_BCHW, self.mean(logits_BCHW), self.sigma2_x)
        return log_prob_BCHW.flatten(1).sum(1)

    def nll(self, x_BCHW: Tensor, logits_BCHW: Tensor) -> Tensor:
        """-log p(x | z) in nats an image, averaged over the images: a 0-d tensor, in few operations."""
        B = len(x_BCHW)
        errors = F.mse_loss(self.mean(logits_BCHW), x_BCHW, reduction="sum")
        pixels = x_BCHW.numel() // B
        log_sigma2_x = self.sigma2_x.log() if isinstance(self.sigma2_x, Tensor) else math.log(self.sigma2_x)
        constant = 0.5 * pixels * (LOG_2PI + log_sigma2_x)
        return errors * (0.5 / (B * self.sigma2_x)) + constant

    def mean(self, logits_BCHW: Tensor) -> Tensor:
        """The expected image, in [0, 1]."""
        return at_least_float32(logits_BCHW).sigmoid()


class LearnedGaussian(nn.Module):
    """A `Gaussian` whose variance is a weight of the model: one number for all pixels (Rybkin et al. 2021, sigma-VAE).

    Where the loss is least, `sigma2_x` is the mean squared error of a pixel: the terms weigh one another by themselves.
    """

    def __init__(self, sigma2_x: float = SIGMA2_X) -> None:
        super().__init__()
        self.log_sigma2_x = nn.Parameter(torch.tensor(math.log(sigma2_x)))

    @property
    def sigma2_x(self) -> Tensor:
        """The variance, a 0-d tensor."""
        return self.log_sigma2_x.exp()

    def log_prob(self, x_BCHW: Tensor, logits_BCHW: Tensor) -> Tensor:
        """log p(x | z) (B,), summed over channels and pixels, in float32."""
        return Gaussian(self.sigma2_x).log_prob(x_BCHW, logits_BCHW)

    def nll(self, x_BCHW: Tensor, logits_BCHW: Tensor) -> Tensor:
        """-log p(x | z) in nats an image, averaged over the images: a 0-d tensor."""
        return Gaussian(self.sigma2_x).nll(x_BCHW, logits_BCHW)

    def mean(self, logits_BCHW: Tensor) -> Tensor:
        """The expected image, in [0, 1]."""
        return Gaussian(self.sigma2_x).mean(logits_BCHW)

    def __str__(self) -> str:
        return "Gaussian(sigma2_x='learned')"


@dataclass(frozen=True)
class Bernoulli:
    """Each pixel is 1 with probability sigmoid(logit); for images of 0 and 1 alone."""

    def log_prob(self, x_BCHW: Tensor, logits_BCHW: Tensor) -> Tensor:
        """log p(x | z) (B,), summed over channels and pixels, in float32."""
        loss_BCHW = F.binary_cross_entropy_with_logits(at_least_float32(logits_BCHW), x_BCHW, reduction="none")
        return -loss_BCHW.flatten(1).sum(1)

    def nll(self, x_BCHW: Tensor, logits_BCHW: Tensor) -> Tensor:
        """-log p(x | z) in nats an image, averaged over the images: a 0-d tensor."""
        loss = F.binary_cross_entropy_with_logits(at_least_float32(logits_BCHW), x_BCHW, reduction="sum")
        return loss / len(x_BCHW)

    def mean(self, logits_BCHW: Tensor) -> Tensor:
        """The expected image, in [0, 1]."""
        return at_least_float32(logits_BCHW).sigmoid()


@dataclass(frozen=True)
class Categorical:
    """Each word of a text is drawn from softmax(logits), independently of the others; padding is a word like any other.

    So it is a distribution over whole texts, and the decoder says where a text ends.
    """

    def log_prob(self, tokens_BL: Tensor, logits_BLV: Tensor) -> Tensor:
        """log p(x | z) (B,), summed over the L words, in float32."""
        loss_BL = F.cross_entropy(at_least_float32(logits_BLV).transpose(1, 2), tokens_BL, reduction="none")
        return -loss_BL.sum(1)

    def nll(self, tokens_BL: Tensor, logits_BLV: Tensor) -> Tensor:
        """-log p(x | z) in nats a text, averaged over the texts: a 0-d tensor."""
        loss = F.cross_entropy(at_least_float32(logits_BLV).transpose(1, 2), tokens_BL, reduction="sum")
        return loss / len(tokens_BL)

    def mean(self, logits_BLV: Tensor) -> Tensor:
        """The probability of each word of the vocabulary at each place."""
        return at_least_float32(logits_BLV).softmax(2)


def modality_likelihood(kind: Literal["vector", "tokens"]) -> Categorical | Bernoulli:
    """The likelihood of a modality: categorical for tokens, Bernoulli for a vector.

    An entry of a vector that lies between 0 and 1 counts as its expectation.
    """
    return Categorical() if kind == "tokens" else Bernoulli()


class LikelihoodParams(BaseModel):
    """The choice of p(x | z), which the Params of a method with a decoder inherit, before simssl.Params."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    likelihood: LikelihoodName = "gaussian"
    "p(x|z): Gaussian around the decoder's mean, with one variance; or Bernoulli, for images of 0 and 1."
    sigma2_x: Variance = None
    """Variance of the Gaussian likelihood; 0.01 if empty. Source: the paper's release (log -4.6). With learned it is a
    weight of the model, which begins there. Source: Rybkin et al. 2021."""

    @field_validator("sigma2_x")
    @classmethod
    def _fits(cls, sigma2_x: Variance, info: ValidationInfo) -> Variance:
        _refuse_a_variance(info.data.get("likelihood", "gaussian"), sigma2_x)
        return sigma2_x


def likelihood(name: LikelihoodName, sigma2_x: Variance, binary: bool) -> Gaussian | LearnedGaussian | Bernoulli:
    """The likelihood of this name; ValueError if it does not fit its variance or the images."""
    _refuse_a_variance(name, sigma2_x)
    if name == "gaussian":
        if sigma2_x == "learned":
            return LearnedGaussian()
        return Gaussian(SIGMA2_X if sigma2_x is None else sigma2_x)
    if not binary:
        raise ValueError("a Bernoulli likelihood needs images of 0 and 1: set views.finish.threshold")
    return Bernoulli()


def _refuse_a_variance(name: LikelihoodName, sigma2_x: Variance) -> None:
    """Raise ValueError if a likelihood that has no variance is given one."""
    if name == "bernoulli" and sigma2_x is not None:
        raise ValueError("a Bernoulli likelihood has no variance: leave out 'sigma2_x', or choose gaussian")

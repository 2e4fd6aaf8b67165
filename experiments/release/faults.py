"""The faults of the public release of Bizeul, Schölkopf & Allen 2024, each a setting that is off by default.

One file, for `--plugin experiments/release/faults.py`. It brings three plugins of the name `faults`:

- an objective: the VAE (J = 1) or SimVAE, with an entropy that weighs 2 pi, and with a cross entropy that is divided
  by a variance;
- a backbone: what the release calls ResNet-18, which has half of its channels and three of its four stages;
- an evaluator: kNN whose accuracy is correct / (N + 1).

The other faults are settings of what is built in. README.md beside this file lists all of them.

T counts targets, Q the queries, and K the numbers of neighbours that are tried.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import Field
from simssl_plugins.backbones.resnet18 import STEMS, Block, Decoder
from simssl_plugins.evaluators.knn import Knn
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models.resnet import BasicBlock, downsample_conv
from torch import Tensor, nn

import simssl
from simssl.api import (
    AutoencoderObjective,
    Backbone,
    Context,
    Evaluator,
    Objective,
    Oracle,
    Result,
    Shape,
    Subject,
    Terms,
)
from simssl.blocks.losses import Bernoulli, Gaussian, negative_entropy, shared_mean_nll
from simssl.blocks.networks import GaussianAutoencoder, Standardize

# --- the objective -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DividedBernoulli:
    """A cross entropy divided by a Gaussian's variance: no density, whatever the images are."""

    sigma2_x: float

    def log_prob(self, x_BCHW: Tensor, logits_BCHW: Tensor) -> Tensor:
        """What the release takes for log p(x | z) (B,): Bernoulli's, times 1 / sigma2_x."""
        return Bernoulli().log_prob(x_BCHW, logits_BCHW) / self.sigma2_x

    def nll(self, x_BCHW: Tensor, logits_BCHW: Tensor) -> Tensor:
        """The same, negative and averaged over the images: a 0-d tensor."""
        return Bernoulli().nll(x_BCHW, logits_BCHW) / self.sigma2_x

    def mean(self, logits_BCHW: Tensor) -> Tensor:
        """The expected image, in [0, 1]."""
        return Bernoulli().mean(logits_BCHW)


LIKELIHOODS: dict[str, type[Gaussian] | type[DividedBernoulli]] = {
    "gaussian": Gaussian,
    "divided_bernoulli": DividedBernoulli,
}


class FaultyElbo(AutoencoderObjective):
    """SimVAE, or with J = 1 the VAE, and what the release has instead of their terms. Terms in nats per view.

    With both faults off it is the built-in `simvae` of this J and sigma2, or for J = 1 the built-in `vae`, bit for bit.
    """

    class Params(simssl.Params):
        J: int = Field(10, ge=1)
        "Views of each image; 1 is the VAE. Source: 10 in the paper, 2 by default in its release."
        sigma2: float = Field(0.15, gt=0, lt=1)
        "Variance of the latents around their shared mean; a VAE has none. Source: the paper's release."
        sigma2_x: float = Field(0.01, gt=0)
        "Variance of the Gaussian likelihood, or what the cross entropy is divided by. Source: the release (log -4.6)."
        entropy: Literal["right", "two_pi"] = "right"
        "The entropy of q(z|x), or 2 pi times as much. Source: the release's 1/2 sum(2 pi log v)."
        likelihood: Literal["gaussian", "divided_bernoulli"] = "gaussian"
        """p(x|z), a Gaussian; or the pixels' cross entropy divided by sigma2_x, of images of 0 and 1 or of grey ones.
        Source: the latter is the release's."""

    permutation_invariant = True

    @classmethod
    def views_for(cls, params: Params) -> tuple[str, ...]:
        return ("random",) * params.J

    def __init__(self, params: Params, context: Context) -> None:
        Objective.__init__(self, params, context)  # the next class's would refuse a cross entropy of grey images
        self.sigma2 = None if params.J == 1 else params.sigma2
        self.likelihood = LIKELIHOODS[params.likelihood](params.sigma2_x)
        self.model = GaussianAutoencoder(context.encoder, context.decoder, context.latent_dim)

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        B, J = x_BJCHW.shape[:2]
        sample = self.model.sample(x_BJCHW.flatten(0, 1), self.likelihood.nll, generator)
        minus_entropy = negative_entropy(sample.log_variance_BD)
        weight = 2 * math.pi if self.params.entropy == "two_pi" else 1.0
        if J == 1:
            kl = sample.kl + (weight - 1) * minus_entropy  # KL = -H[q] - E_q log N(z; 0, I)
            return Terms({"reconstruction": sample.reconstruction, "kl": kl})
        z_BJD = sample.z_BD.unflatten(0, (B, J))
        gamma2 = 1 - self.params.sigma2 / J
        loss = {
            "reconstruction": sample.reconstruction,
            "entropy": weight * minus_entropy,
            "prior": shared_mean_nll(z_BJD, self.params.sigma2, gamma2) / J,
        }
        return Terms(loss)


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return FaultyElbo


# --- the backbone ------------------------------------------------------------------------------------------

WIDTHS = (32, 64, 128)
"""Channels of the stages, each of two basic blocks. ResNet-18 has 64, 128, 256 and 512."""


class HalfResnet18(Backbone):
    """What the release calls ResNet-18: half of the channels, and without the last stage; and its mirror.

    All else is that of the built-in `resnet18` with its small stem, 3 x 3 of stride 1 without max-pool.
    """

    class Params(simssl.Params):
        decoder_skips: Literal["all", "half"] = "all"
        """The decoder's blocks that have a skip: all, or half of them. Source: half in the release. Which half is not
        known to us; here the first block of each stage keeps its skip."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        channels = shape[0]
        first = WIDTHS[0]
        layers: list[nn.Module] = [nn.Conv2d(channels, first, 3, 1, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU()]
        layers += [BasicBlock(first, first), BasicBlock(first, first)]
        for before, after in itertools.pairwise(WIDTHS):
            projection = downsample_conv(before, after, kernel_size=1, stride=2)
            layers += [BasicBlock(before, after, stride=2, downsample=projection), BasicBlock(after, after)]
        pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], outputs)]
        return nn.Sequential(
            Standardize(channels, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD), *map(_he, layers), *pooled
        )

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        decoder = Decoder(STEMS["small"], shape, inputs, WIDTHS)
        if self.params.decoder_skips == "half":
            for number in range(1, len(decoder.blocks), 2):
                decoder.blocks[number] = _WithoutSkip(decoder.blocks[number])
        return decoder


class _WithoutSkip(nn.Module):
    """What a block of the decoder computes without its skip."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block
        del block.skip

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.block.branch(x_BCHW).relu()


def _he(layer: nn.Module) -> nn.Module:
    """The layer, its convolutions initialised after He et al. 2015, as the built-in `resnet18`'s."""
    for module in layer.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return layer


@simssl.hookimpl
def simssl_backbone() -> type[Backbone]:
    return HalfResnet18


# --- the evaluator -----------------------------------------------------------------------------------------


class KnnOverNPlusOne(Knn):
    """The built-in `knn`, all else alike, with an accuracy of correct / (N + 1).

    `select: test` is the release's choice of k.
    """

    @classmethod
    def oracle(cls) -> Oracle:
        """That of `knn` on 48 test images: the best accuracy is 48/49."""
        return replace(super().oracle(), values={"corner/accuracy": (48 / 49 - 1e-6, 48 / 49 + 1e-6)})

    def run(self, subject: Subject) -> Result:
        result = super().run(subject)
        return replace(result, protocol={**result.protocol, "accuracy": "correct / (N + 1), as in the paper's release"})

    def _accuracies(self, bank_ND: Tensor, labels_TN: Tensor, queries_QD: Tensor, truth_TQ: Tensor) -> Tensor:
        accuracy_TK = super()._accuracies(bank_ND, labels_TN, queries_QD, truth_TQ)
        known_T1 = (truth_TQ >= 0).sum(1, keepdim=True)
        return accuracy_TK * known_T1 / (known_T1 + 1)


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return KnnOverNPlusOne

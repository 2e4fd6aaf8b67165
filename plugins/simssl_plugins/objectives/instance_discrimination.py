"""Instance discrimination: every image is a class of its own.

Parametric (Dosovitskiy et al. 2014): minimise CE(W f(x) + b, index). With a memory bank (Wu et al. 2018): minimise
CE(f(x) . [m_index, m_k1, m_k2, ...] / T, 0), f(x) of length 1, the m_k drawn entries of a bank of all images;
after each step m_index = normalise(0.5 m_index + 0.5 f(x)). K counts drawn entries.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

import simssl
from simssl.api import Context, EncodeAll, EncoderObjective, Objective, Terms
from simssl.blocks.distributed import gather
from simssl.blocks.losses import contrast_with_negatives
from simssl.blocks.networks import in_float32
from simssl.blocks.precision import at_least_float32


class InstanceDiscrimination(EncoderObjective):
    """Instance discrimination: one view of an image tells which image of the training split it is.

    The loss works on the representation itself, without a head between. The bank begins as the representations of
    the untrained encoder about their mean (ours: from a random bank, as theirs, the first pass would learn random
    targets; and not centred, those of an untrained network with batch norm are nearly one).

    It takes one view, so that `positives` change nothing: the class stays the image itself, and not its group.
    """

    class Params(simssl.Params):
        variant: Literal["parametric", "memory_bank"] = "parametric"
        """A learned weight for every image (Dosovitskiy et al. 2014), or the memory of its last representations
        (Wu et al. 2018). Source: the paper, section 4.3, has the parametric one."""
        negatives: int = Field(4096, ge=1)
        "Entries of the memory bank that a step draws, for all its images. Source: Wu et al. 2018, for each image."
        temperature: float = Field(0.1, gt=0)
        "Divides the cosines with the memory bank. Source: the code of Wu et al. 2018 for CIFAR-10."
        momentum: float = Field(0.5, ge=0, lt=1)
        "The old entry's share in the memory bank's new one. Source: the code of Wu et al. 2018."

        @model_validator(mode="after")
        def _of_the_bank_alone(self) -> InstanceDiscrimination.Params:
            if self.variant == "memory_bank":
                return self
            for name in ("negatives", "temperature", "momentum"):
                default = type(self).model_fields[name].default
                if getattr(self, name) != default:
                    raise ValueError(f"'{name}' is the memory bank's: leave it out, or set 'variant: memory_bank'")
            return self

    views = ("random",)
    permutation_invariant = True
    bank_ND: Tensor

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        N, D = context.num_images, context.latent_dim
        self.classifier = nn.Linear(D, N) if params.variant == "parametric" else None
        if params.variant == "memory_bank":
            self.register_buffer("bank_ND", F.normalize(torch.randn(N, D), dim=1))

    @torch.no_grad()
    def before_epoch(self, epoch: int, encode_all: EncodeAll, generator: torch.Generator) -> None:
        if self.classifier is None and epoch == 0:
            z_ND = encode_all()
            self.bank_ND.copy_(F.normalize(z_ND - z_ND.mean(0), dim=1))

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        z_BD = self.encoder(x_BJCHW[:, 0])
        if self.classifier is not None:
            logits_BN = in_float32(self.classifier, z_BD)
            return Terms(loss={"cross_entropy": F.cross_entropy(logits_BN, index_B)})
        z_BD = F.normalize(at_least_float32(z_BD), dim=1)
        self.seen = gather(index_B), gather(z_BD.detach())
        return Terms(loss={"cross_entropy": self._against_bank(z_BD, index_B, generator)})

    def _against_bank(self, z_BD: Tensor, index_B: Tensor, generator: torch.Generator) -> Tensor:
        """The cross entropy of each image's own entry among the drawn ones, whose own index is masked: 0-d."""
        N, K = len(self.bank_ND), self.params.negatives
        drawn_K = torch.randint(N, (K,), generator=generator, device=z_BD.device)
        own_BD = self.bank_ND[index_B]
        drawn_KD = self.bank_ND[drawn_K]
        is_own_BK = drawn_K == index_B[:, None]
        return contrast_with_negatives(z_BD, own_BD, drawn_KD, self.params.temperature, is_own_BK)

    @torch.no_grad()
    def after_step(self, progress: Tensor) -> None:
        if self.classifier is not None:
            return
        index_B, z_BD = self.seen
        old_BD = self.bank_ND[index_B]
        new_BD = torch.lerp(z_BD, old_BD, self.params.momentum)
        self.bank_ND.index_copy_(0, index_B, F.normalize(new_BD, dim=1))


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return InstanceDiscrimination

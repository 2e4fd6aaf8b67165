"""Random: the untrained encoder, the floor of every table."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

import simssl
from simssl.api import EncoderObjective, Objective


class Random(EncoderObjective):
    """The untrained encoder, measured as all others are.

    Batch norm in it, if there is any, divides by statistics of the training images (of initialisation, mean 0 and
    variance 1, without `calibrate`): representations differ by that, and so does what can be read off them.
    """

    class Params(simssl.Params):
        calibrate: bool = True
        """Give batch norm the training images' statistics, averaged over batches, in one pass; nothing without it.
        Pretrained weights have statistics of their own: set it to false for them. Ours."""

    trained = False

    def fit(self, batches: Iterable[Tensor], generator: torch.Generator) -> None:
        if self.params.calibrate:
            update_bn(batches, self.encoder)


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return Random

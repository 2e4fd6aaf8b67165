"""BYOL, Barlow Twins and SimSiam as lightly's benchmark for CIFAR-10 trains them; SimCLR and MoCo as `lightly_loop`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from lightly.loss import BarlowTwinsLoss, NegativeCosineSimilarity, NTXentLoss
from lightly.models.modules.heads import (
    BYOLPredictionHead,
    BYOLProjectionHead,
    MoCoProjectionHead,
    ProjectionHead,
    SimCLRProjectionHead,
    SimSiamPredictionHead,
)
from lightly.models.modules.memory_bank import MemoryBankModule
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly_loop import QUEUE, Moco, TwoViews
from torch import Tensor, nn

MOMENTUM = 0.99


class Byol(nn.Module):
    """A student that predicts what its moving average makes of the other view."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.network = nn.Sequential(encoder, BYOLProjectionHead(width, 1024, 256))
        self.predictor = BYOLPredictionHead(256, 1024, 256)
        self.teacher = copy.deepcopy(self.network)
        deactivate_requires_grad(self.teacher)
        self.criterion = NegativeCosineSimilarity()

    def forward(self, x0_BCHW: Tensor, x1_BCHW: Tensor) -> Tensor:
        update_momentum(self.network, self.teacher, m=MOMENTUM)
        p0_BP = self.predictor(self.network(x0_BCHW))
        z0_BP = self.teacher(x0_BCHW).detach()
        p1_BP = self.predictor(self.network(x1_BCHW))
        z1_BP = self.teacher(x1_BCHW).detach()
        loss: Tensor = 0.5 * (self.criterion(p0_BP, z1_BP) + self.criterion(p1_BP, z0_BP))
        return loss


class SimSiam(nn.Module):
    """Each view predicts the other's projection, which has no gradient."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        hidden = (width, 2048, nn.BatchNorm1d(2048), nn.ReLU(inplace=True))
        self.network = nn.Sequential(encoder, ProjectionHead([hidden, (2048, 2048, nn.BatchNorm1d(2048), None)]))
        self.predictor = SimSiamPredictionHead(2048, 512, 2048)
        self.criterion = NegativeCosineSimilarity()

    def forward(self, x0_BCHW: Tensor, x1_BCHW: Tensor) -> Tensor:
        z0_BP = self.network(x0_BCHW)
        z1_BP = self.network(x1_BCHW)
        p0_BP = self.predictor(z0_BP)
        p1_BP = self.predictor(z1_BP)
        loss: Tensor = 0.5 * (self.criterion(z0_BP.detach(), p1_BP) + self.criterion(z1_BP.detach(), p0_BP))
        return loss


class LateBank(MemoryBankModule):
    """A memory bank that keys join together, when a step ends."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.waiting: list[Tensor] = []

    def _dequeue_and_enqueue(self, batch: Tensor) -> None:
        self.waiting.append(batch)

    def join(self) -> None:
        for batch in self.waiting:
            super()._dequeue_and_enqueue(batch)
        self.waiting.clear()


class MocoKeysAfter(Moco):
    """MoCo whose keys join the bank after both directions.

    In lightly's the second direction finds the first one's keys in the bank: for each query that of its own view.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, width: int) -> None:
        super().__init__(encoder, head, width)
        self.criterion.memory_bank = LateBank((QUEUE, width))

    def forward(self, x0_BCHW: Tensor, x1_BCHW: Tensor) -> Tensor:
        loss: Tensor = super().forward(x0_BCHW, x1_BCHW)
        self.criterion.memory_bank.join()
        return loss


def barlow_twins(encoder: nn.Module, width: int) -> nn.Module:
    head = ProjectionHead([(width, 2048, nn.BatchNorm1d(2048), nn.ReLU(inplace=True)), (2048, 2048, None, None)])
    return TwoViews(encoder, head, BarlowTwinsLoss())


def simclr(encoder: nn.Module, width: int) -> nn.Module:
    return TwoViews(encoder, SimCLRProjectionHead(width, 512, 128), NTXentLoss())


def moco(encoder: nn.Module, width: int) -> nn.Module:
    return Moco(encoder, MoCoProjectionHead(width, 512, 128), 128)


def moco_keys_after(encoder: nn.Module, width: int) -> nn.Module:
    return MocoKeysAfter(encoder, MoCoProjectionHead(width, 512, 128), 128)


METHODS: dict[str, Callable[[nn.Module, int], Any]] = {
    "simclr": simclr,
    "moco": moco,
    "moco:keys_after": moco_keys_after,
    "byol": Byol,
    "barlow_twins": barlow_twins,
    "simsiam": SimSiam,
}
"""Builds the method on an encoder of this width: views (B, C, H, W) twice -> loss. A variant is `method:variant`."""

"""SimCLR, MoCo and VICReg as lightly's examples train them, and MoCo as its benchmark for CIFAR-10 does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from lightly.loss import NTXentLoss, VICRegLoss
from lightly.models.batchnorm import SplitBatchNorm
from lightly.models.modules.heads import MoCoProjectionHead, SimCLRProjectionHead, VICRegProjectionHead
from lightly.models.utils import batch_shuffle, batch_unshuffle, deactivate_requires_grad, update_momentum
from lightly.transforms import SimCLRTransform
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from simssl.training.machine.precision import networks_in

WORKERS, SPLITS = 2, 8
MOMENTUM, TEMPERATURE, QUEUE = 0.99, {"simclr": 0.5, "moco": 0.1}, 4096
VIEWS = SimCLRTransform(
    input_size=32, cj_prob=1.0, min_scale=0.6, random_gray_scale=0.0, gaussian_blur=0.0, normalize=None
)
"""Crop, flip and jitter of experiments/cifar10_content.yaml; the network standardises by itself."""


class Pictures(Dataset[tuple[list[Tensor], int]]):
    """Two views of each random image and a label; the images lie and are opened as in torchvision's CIFAR10."""

    def __init__(self, count: int) -> None:
        self.images_NHWC = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.images_NHWC)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int]:
        return VIEWS(Image.fromarray(self.images_NHWC[index])), 0


class TwoViews(nn.Module):
    """SimCLR or VICReg: both views pass the networks one after the other."""

    def __init__(self, encoder: nn.Module, head: nn.Module, criterion: nn.Module) -> None:
        super().__init__()
        self.network, self.criterion = nn.Sequential(encoder, head), criterion

    def forward(self, x0_BCHW: Tensor, x1_BCHW: Tensor) -> Tensor:
        loss: Tensor = self.criterion(self.network(x0_BCHW), self.network(x1_BCHW))
        return loss


class Moco(nn.Module):
    """MoCo in both directions, with shuffled keys, split batch norm and a memory bank."""

    def __init__(self, encoder: nn.Module, head: nn.Module, width: int) -> None:
        super().__init__()
        self.network = nn.Sequential(split_batch_norm(encoder), head)
        self.momentum_network = copy.deepcopy(self.network)
        deactivate_requires_grad(self.momentum_network)
        self.criterion = NTXentLoss(TEMPERATURE["moco"], memory_bank_size=(QUEUE, width))

    def forward(self, x0_BCHW: Tensor, x1_BCHW: Tensor) -> Tensor:
        update_momentum(self.network, self.momentum_network, MOMENTUM)
        return 0.5 * (self._direction(x0_BCHW, x1_BCHW) + self._direction(x1_BCHW, x0_BCHW))

    def _direction(self, query_BCHW: Tensor, key_BCHW: Tensor) -> Tensor:
        key_BCHW, order_B = batch_shuffle(key_BCHW)
        query_BP = self.network(query_BCHW)
        key_BP = batch_unshuffle(self.momentum_network(key_BCHW), order_B)
        loss: Tensor = self.criterion(query_BP, key_BP)
        return loss


def split_batch_norm(module: nn.Module) -> nn.Module:
    """The module with lightly's SplitBatchNorm instead of every BatchNorm2d."""
    for name, child in module.named_children():
        norm = SplitBatchNorm(child.num_features, SPLITS) if isinstance(child, nn.BatchNorm2d) else None
        setattr(module, name, norm or split_batch_norm(child))
    return module


def model(method: str, encoder: nn.Module, latent_dim: int, head: tuple[int, int]) -> nn.Module:
    if method == "moco":
        return Moco(encoder, MoCoProjectionHead(latent_dim, *head), head[-1])
    if method == "simclr":
        return TwoViews(encoder, SimCLRProjectionHead(latent_dim, *head), NTXentLoss(TEMPERATURE["simclr"]))
    return TwoViews(encoder, VICRegProjectionHead(latent_dim, *head, num_layers=2), VICRegLoss())


def lightly_steps(
    network: nn.Module,
    pictures: Pictures,
    batch: int,
    sgd: Mapping[str, float],
    precision: str,
    device: torch.device,
    workers: int = WORKERS,
) -> Callable[[int], int]:
    """What trains for a number of steps, and returns it."""
    network.to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), **sgd)
    loader = DataLoader(
        pictures,
        batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )

    def endless() -> Iterator[tuple[list[Tensor], Tensor]]:
        while True:
            yield from loader

    batches = endless()

    def steps(count: int) -> int:
        for _ in range(count):
            (x0_BCHW, x1_BCHW), _ = next(batches)
            with networks_in(precision, device):
                loss = network(x0_BCHW.to(device, non_blocking=True), x1_BCHW.to(device, non_blocking=True))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return count

    return steps

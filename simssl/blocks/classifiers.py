"""Linear and MLP classifiers of several targets, trained as one batched network on frozen features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.optim.adam import adam

from simssl.blocks.probes import ParallelMLP


class ParallelClassifiers(ParallelMLP):
    """M independent classifiers on the same inputs: (B, D) -> logits (M, B, C).

    Linear without `hidden` widths, else MLPs with ReLU. C is the largest number of classes; the logits of classes
    that a problem does not have are -inf.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], classes: Sequence[int], generator: torch.Generator) -> None:
        super().__init__(len(classes), (inputs, *hidden, max(classes)), generator)
        number_C = torch.arange(max(classes), device=generator.device)
        self.lacking_M1C = number_C >= torch.tensor(classes, device=generator.device)[:, None, None]

    def forward(self, x_BD: Tensor) -> Tensor:
        return super().forward(x_BD).masked_fill(self.lacking_M1C, -torch.inf)

    @torch.no_grad()
    def gradients(self, x_BD: Tensor, labels_MB: Tensor) -> list[Tensor]:
        """The gradient of the sum over the problems of each one's mean cross entropy, a label of -1 not counting, by
        each of `parameters()`. Written out, since autograd takes most of the time of a step of so small a network."""
        *inputs, logits_MBC = self.values(x_BD)
        known_MB = labels_MB >= 0
        weight_MB1 = (known_MB / known_MB.sum(1, keepdim=True).clamp(min=1))[..., None]
        log_p_MBC = logits_MBC.masked_fill(self.lacking_M1C, -torch.inf).log_softmax(2)
        grad_MBC = torch.zeros_like(log_p_MBC).scatter_(2, labels_MB.clamp(min=0)[..., None], -weight_MB1)
        grad_MBO = torch.ops.aten._log_softmax_backward_data(grad_MBC, log_p_MBC, 2, log_p_MBC.dtype)
        of_weights, of_biases = [], []
        for x_MBI, weight in zip(reversed(inputs), reversed(list(self.weights)), strict=True):
            of_weights.append(x_MBI.transpose(1, 2) @ grad_MBO)
            of_biases.append(grad_MBO.sum(1, keepdim=True))
            if x_MBI is not inputs[0]:
                grad_MBO = (grad_MBO @ weight.transpose(1, 2)) * (x_MBI > 0)
        return [*reversed(of_weights), *reversed(of_biases)]


@torch.no_grad()
def train_classifiers(
    network: ParallelClassifiers,
    x_ND: Tensor,
    labels_MN: Tensor,
    *,
    epochs: int,
    batch: int,
    lr: float,
    generator: torch.Generator,
) -> Iterator[int]:
    """Train by Adam on the mean cross entropies, yielding the number of each epoch as it ends.

    As `train_epochs` with that loss: mini-batches of a new order each epoch, none is dropped.
    """
    parameters: list[Tensor] = list(network.parameters())
    mean, square = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    steps = [torch.zeros((), device=p.device) for p in parameters]
    step = partial(adam, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0, amsgrad=False, maximize=False, fused=True)
    for epoch in range(1, epochs + 1):
        order_N = torch.randperm(len(x_ND), generator=generator, device=x_ND.device)
        for x_BD, labels_MB in zip(x_ND[order_N].split(batch), labels_MN[:, order_N].split(batch, dim=1), strict=True):
            step(parameters, network.gradients(x_BD, labels_MB), mean, square, [], steps, lr=lr)
        yield epoch


def accuracies(logits_MBC: Tensor, labels_MB: Tensor) -> Tensor:
    """The accuracy of each of M problems (M,); a label of -1 does not count."""
    known_MB = labels_MB >= 0
    right_MB = (logits_MBC.argmax(2) == labels_MB) & known_MB
    return right_MB.sum(1).double() / known_MB.sum(1)

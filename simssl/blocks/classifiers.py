"""Linear and MLP classifiers of several targets, trained as one batched network on frozen features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.adam import adam

from simssl.blocks.capture import capture
from simssl.blocks.probes import ParallelMLP

ADAM: dict[str, Any] = {
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0,
    "amsgrad": False,
    "maximize": False,
}
"""torch.optim's defaults."""


class ParallelClassifiers(ParallelMLP):
    """M independent classifiers on the same inputs: (B, D) -> logits (M, B, C).

    Linear without `hidden` widths, else MLPs with ReLU. C is the largest number of classes; the logits of classes
    that a problem does not have are -inf, by their bias, which no gradient reaches.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], classes: Sequence[int], generator: torch.Generator) -> None:
        super().__init__(len(classes), (inputs, *hidden, max(classes)), generator)
        number_C = torch.arange(max(classes), device=generator.device)
        lacking_M1C = number_C >= torch.tensor(classes, device=generator.device)[:, None, None]
        self.biases[-1].data.masked_fill_(lacking_M1C, -torch.inf)
        self._number_C1 = number_C[:, None]
        self._layers = [(w.data, w.data.mT, b.data.mT) for w, b in zip(self.weights, self.biases, strict=True)]

    @torch.no_grad()
    def gradients(self, x_BD: Tensor, labels_M1B: Tensor, weights_M1B: Tensor) -> list[Tensor]:
        """Of the weighted sum of the cross entropies over problems and images, by each of `parameters()`.

        A label whose weight is 0 may be any class. Written out, since autograd takes most of the time of a step of so
        small a network; and with the images last, since a softmax over a short last axis is slow.
        """
        inputs = [x_BD.T.expand(len(labels_M1B), -1, -1)]
        for _, weight_MOI, bias_MO1 in self._layers:
            if len(inputs) > 1:
                inputs[-1].relu_()
            inputs.append(torch.baddbmm(bias_MO1, weight_MOI, inputs[-1]))
        grad_MOB = inputs.pop().softmax(1)
        grad_MOB.add_(self._number_C1 == labels_M1B, alpha=-1).mul_(weights_M1B)
        of_weights, of_biases = [], []
        for (weight_MIO, _, _), x_MIB in zip(reversed(self._layers), reversed(inputs), strict=True):
            of_weights.append(torch.bmm(x_MIB, grad_MOB.mT))
            of_biases.append(grad_MOB.sum(2)[:, None])
            if x_MIB is not inputs[0]:
                grad_MOB = torch.ops.aten.threshold_backward(torch.bmm(weight_MIO, grad_MOB), x_MIB, 0)
        return [*reversed(of_weights), *reversed(of_biases)]


class _Epoch:
    """The steps of an epoch, on tensors that stay where they are; only the order of the images is another each time."""

    def __init__(self, network: ParallelClassifiers, x_ND: Tensor, labels_MN: Tensor, batch: int, lr: float) -> None:
        self._network, self._x_ND, self._labels_MN, self._batch = network, x_ND, labels_MN, batch
        self._shuffled = x_ND.clone(), labels_MN[:, None].clone(), x_ND.new_empty(labels_MN[:, None].shape)
        parts = (tensor.split(batch, dim) for tensor, dim in zip(self._shuffled, (0, 2, 2), strict=True))
        self._batches = list(zip(*parts, strict=True))
        parameters = [p.data for p in network.parameters()]
        mean, square = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
        taken = [torch.zeros((), device=p.device) for p in parameters]
        self._descend: Callable[[list[Tensor]], None] = lambda gradients: adam(
            parameters, gradients, mean, square, [], taken, lr=lr, fused=True, **ADAM
        )

    def shuffle(self, order_N: Tensor) -> None:
        x_ND, labels_M1N, weights_M1N = self._shuffled
        torch.index_select(self._x_ND, 0, order_N, out=x_ND)
        labels_MN = self._labels_MN[:, order_N]
        known_MSB = F.pad((labels_MN >= 0).to(x_ND), (0, -len(x_ND) % self._batch)).unflatten(1, (-1, self._batch))
        known_MSB /= known_MSB.sum(2, keepdim=True).clamp(min=1)
        weights_M1N.copy_(known_MSB.flatten(1)[:, None, : len(x_ND)])
        labels_M1N.copy_(labels_MN.clamp(min=0)[:, None])

    def __call__(self) -> None:
        for batch in self._batches:
            self._descend(self._network.gradients(*batch))


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

    As `train_epochs` with that loss: mini-batches of a new order each epoch, none is dropped. A label of -1 does not
    count. On CUDA an epoch is a graph, captured after the first.
    """
    epoch = _Epoch(network, x_ND, labels_MN, batch, lr)
    steps: Callable[[], None] = epoch
    for number in range(1, epochs + 1):
        epoch.shuffle(torch.randperm(len(x_ND), generator=generator, device=x_ND.device))
        if number == 2:
            steps = capture(epoch, x_ND.device)
        steps()
        yield number


def accuracies(logits_MBC: Tensor, labels_MB: Tensor) -> Tensor:
    """The accuracy of each of M problems (M,); a label of -1 does not count."""
    known_MB = labels_MB >= 0
    right_MB = (logits_MBC.argmax(2) == labels_MB) & known_MB
    return right_MB.sum(1).double() / known_MB.sum(1)

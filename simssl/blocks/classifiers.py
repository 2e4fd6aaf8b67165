"""Linear and MLP classifiers of several targets, trained as one batched network on frozen features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.adam import adam

from simssl.blocks.capture import capture
from simssl.blocks.probes import ParallelMLP
from simssl.blocks.threads import threads_for

ADAM: dict[str, Any] = {
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0,
    "amsgrad": False,
    "maximize": False,
}
"""torch.optim's defaults."""


class ParallelClassifiers(nn.Module):
    """M independent classifiers on the same inputs: (B, D) -> logits (M, B, C).

    Linear without `hidden` widths, else MLPs with ReLU, initialised as `nn.Linear` is. C is the largest number of
    classes; the logits of classes that a problem does not have are -inf, by their bias, which no gradient reaches.
    A layer is a matrix (M, O, I + 1) whose last column is the bias, for inputs whose last row is 1: a step of so small
    a network takes as long as it has operations. All layers lie in one vector, so that Adam's are few, too.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], classes: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        M, widths = len(classes), (inputs, *hidden, max(classes))
        start = ParallelMLP(M, widths, generator)
        layers = [torch.cat((w.mT, b.mT), 2) for w, b in zip(start.weights, start.biases, strict=True)]
        number_C = torch.arange(max(classes), device=generator.device)
        lacking_MC = number_C >= torch.tensor(classes, device=generator.device)[:, None]
        layers[-1][..., -1].data.masked_fill_(lacking_MC, -torch.inf)
        self._shapes = [layer.shape for layer in layers]
        self.flat = nn.Parameter(torch.cat([layer.detach().flatten() for layer in layers]))
        self._layers, self._gradient = self._layers_in(self.flat.data), torch.zeros_like(self.flat.data)
        self._of_layers = self._layers_in(self._gradient)
        self._hidden: dict[int, list[Tensor]] = {}

    def _layers_in(self, flat: Tensor) -> list[Tensor]:
        parts = flat.split([shape.numel() for shape in self._shapes])
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    @property
    def layers(self) -> list[Tensor]:
        """Each (M, O, I + 1), views of `flat`."""
        return self._layers_in(self.flat)

    def forward(self, x_BD: Tensor) -> Tensor:
        h_MIB, ones_M1B = x_BD.T.expand(self._shapes[0][0], -1, -1), x_BD.new_ones(self._shapes[0][0], 1, len(x_BD))
        for number, layer in enumerate(self.layers):
            h_MIB = layer @ torch.cat((h_MIB.relu() if number else h_MIB, ones_M1B), 1)
        return h_MIB.mT

    @torch.no_grad()
    def gradient(self, x_EB: Tensor, weights_M1B: Tensor, of_labels_MCB: Tensor) -> Tensor:
        """Of the weighted sum of the cross entropies over problems and images, by `flat`; the next overwrites it.

        The inputs come with their row of ones, the labels as the weights at the classes' places and zeros elsewhere.
        Written out, since autograd takes most of the time of a step of so small a network; and with the images last,
        since a softmax over a short last axis is slow.
        """
        layers, B = self._layers, x_EB.shape[1]
        if B not in self._hidden:
            self._hidden[B] = [x_EB.new_ones(M, width + 1, B) for M, width, _ in self._shapes[:-1]]
        inputs = [x_EB.expand(self._shapes[0][0], -1, -1), *self._hidden[B]]
        for layer, x_MIB, h_MIB in zip(layers, inputs, self._hidden[B], strict=False):
            torch.bmm(layer, x_MIB, out=h_MIB[:, :-1]).relu_()
        grad_MOB = torch.bmm(layers[-1], inputs[-1]).softmax(1).mul_(weights_M1B).sub_(of_labels_MCB)
        for number in reversed(range(len(layers))):
            torch.bmm(grad_MOB, inputs[number].mT, out=self._of_layers[number])
            if number:
                back_MIB = torch.bmm(layers[number][:, :, :-1].mT, grad_MOB)
                grad_MOB = torch.ops.aten.threshold_backward(back_MIB, inputs[number][:, :-1], 0)
        return self._gradient


class _Epoch:
    """The steps of an epoch, on tensors that stay where they are; only the order of the images is another each time."""

    def __init__(self, network: ParallelClassifiers, x_ND: Tensor, labels_MN: Tensor, batch: int, lr: float) -> None:
        self._network, self._labels_MN, self._batch = network, labels_MN, batch
        self._x_NE = F.pad(x_ND, (0, 1), value=1)
        (M, C, _), N = network.layers[-1].shape, len(x_ND)
        self._number_C1 = torch.arange(C, device=x_ND.device)[:, None]
        self._shuffled = self._x_NE.clone(), x_ND.new_empty(M, 1, N), x_ND.new_empty(M, C, N)
        parts = (tensor.split(batch, dim) for tensor, dim in zip(self._shuffled, (0, 2, 2), strict=True))
        self._batches = [(x_BE.T, *others) for x_BE, *others in zip(*parts, strict=True)]
        weights = network.flat.data
        mean, square, taken = torch.zeros_like(weights), torch.zeros_like(weights), weights.new_zeros(())
        self._descend: Callable[[Tensor], None] = lambda gradient: adam(
            [weights], [gradient], [mean], [square], [], [taken], lr=lr, fused=True, **ADAM
        )

    def shuffle(self, order_N: Tensor) -> None:
        x_NE, weights_M1N, of_labels_MCN = self._shuffled
        torch.index_select(self._x_NE, 0, order_N, out=x_NE)
        labels_MN = self._labels_MN[:, order_N]
        known_MSB = F.pad((labels_MN >= 0).to(x_NE), (0, -len(x_NE) % self._batch)).unflatten(1, (-1, self._batch))
        known_MSB /= known_MSB.sum(2, keepdim=True).clamp(min=1)
        weights_M1N.copy_(known_MSB.flatten(1)[:, None, : len(x_NE)])
        torch.mul(self._number_C1 == labels_MN[:, None], weights_M1N, out=of_labels_MCN)

    def __call__(self) -> None:
        for batch in self._batches:
            self._descend(self._network.gradient(*batch))


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
        with threads_for(network.flat.numel() * batch):
            steps()
        yield number


def accuracies(logits_MBC: Tensor, labels_MB: Tensor) -> Tensor:
    """The accuracy of each of M problems (M,); a label of -1 does not count."""
    known_MB = labels_MB >= 0
    right_MB = (logits_MBC.argmax(2) == labels_MB) & known_MB
    return right_MB.sum(1).double() / known_MB.sum(1)

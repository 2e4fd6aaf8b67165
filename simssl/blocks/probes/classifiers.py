"""Linear and MLP classifiers of several targets, trained as one batched network on frozen features."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simssl.blocks.internals import fused_adam
from simssl.blocks.probes.capture import capture
from simssl.blocks.probes.regression import ParallelMLP
from simssl.blocks.probes.threads import threads_for


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

    def layers_in(self, flat: Tensor) -> list[Tensor]:
        """Each layer (M, O, I + 1), a view of `flat` or of a vector laid out as it is."""
        parts = flat.split([shape.numel() for shape in self._shapes])
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    @property
    def layers(self) -> list[Tensor]:
        """Each (M, O, I + 1), a view of `flat`."""
        return self.layers_in(self.flat)

    def forward(self, x_BD: Tensor) -> Tensor:
        h_MIB, ones_M1B = x_BD.T.expand(self._shapes[0][0], -1, -1), x_BD.new_ones(self._shapes[0][0], 1, len(x_BD))
        for number, layer in enumerate(self.layers):
            h_MIB = layer @ torch.cat((h_MIB.relu() if number else h_MIB, ones_M1B), 1)
        return h_MIB.mT


class _Hidden(NamedTuple):
    """A hidden layer, the tensors of B images that it is written into, and the views of them that a step needs."""

    layer_MOI: Tensor
    after_MOP: Tensor
    """The weights of the layer that comes after it, transposed."""
    linear_MOB: Tensor
    output_MOB: Tensor
    output_and_ones: Tensor
    """(M, O + 1, B)."""
    transposed: Tensor
    """(M, B, O + 1)."""
    slope_MOB: Tensor
    gradient_MOB: Tensor

    @classmethod
    def of(cls, layer: Tensor, after: Tensor, B: int) -> _Hidden:
        M, width, _ = layer.shape
        output = layer.new_ones(M, width + 1, B)
        linear_MOB, slope_MOB, gradient_MOB = layer.new_empty(3, M, width, B)
        return cls(layer, after[:, :, :-1].mT, linear_MOB, output[:, :-1], output, output.mT, slope_MOB, gradient_MOB)


class _Gradient:
    """The gradient of the weighted sum of the cross entropies over problems and images, written into a vector.

    Written out, since autograd takes most of the time of a step of so small a network; on views that are made once,
    for batches of B images, since a view takes as long as a product; and with the images last, since a softmax over a
    short last axis is slow. Products are written into tensors without gaps, since those of all problems are one product
    only then.
    """

    def __init__(self, network: ParallelClassifiers, into: Tensor, B: int) -> None:
        layers, self._of_layers = network.layers_in(network.flat.data), network.layers_in(into)
        self._hidden = [_Hidden.of(layer, after, B) for layer, after in itertools.pairwise(layers)]
        self._last, self._zero = layers[-1], into.new_zeros(())
        M, C, _ = self._last.shape
        self._logits_MCB, self._softmax_MCB, self._of_logits_MCB = into.new_empty(3, M, C, B)

    def __call__(self, x_MEB: Tensor, x_MBE: Tensor, weights_M1B: Tensor, minus_labels_MCB: Tensor) -> None:
        """The inputs come with their row of ones (E = D + 1), and transposed once more; the labels as minus the
        weights at the classes' places, and zeros elsewhere."""
        input_MIB = x_MEB
        for hidden in self._hidden:
            torch.bmm(hidden.layer_MOI, input_MIB, out=hidden.linear_MOB)
            torch.maximum(hidden.linear_MOB, self._zero, out=hidden.output_MOB)
            input_MIB = hidden.output_and_ones
        torch.bmm(self._last, input_MIB, out=self._logits_MCB)
        torch.softmax(self._logits_MCB, 1, out=self._softmax_MCB)
        gradient_MOB = torch.addcmul(minus_labels_MCB, self._softmax_MCB, weights_M1B, out=self._of_logits_MCB)
        for hidden, of_layer in zip(reversed(self._hidden), reversed(self._of_layers), strict=False):
            torch.bmm(gradient_MOB, hidden.transposed, out=of_layer)
            slope_MOB = torch.sign(hidden.output_MOB, out=hidden.slope_MOB)
            gradient_MOB = torch.bmm(hidden.after_MOP, gradient_MOB, out=hidden.gradient_MOB).mul_(slope_MOB)
        torch.bmm(gradient_MOB, x_MBE, out=self._of_layers[0])


class _Epoch:
    """The steps of an epoch, on tensors that stay where they are; their number and the order of the images go on."""

    def __init__(self, network: ParallelClassifiers, x_ND: Tensor, labels_MN: Tensor, batch: int, lr: float) -> None:
        self._labels_MN, self._batch = labels_MN, batch
        self._x_NE = F.pad(x_ND, (0, 1), value=1)
        (M, C, _), N = network.layers[-1].shape, len(x_ND)
        self._number_C1 = torch.arange(C, device=x_ND.device)[:, None]
        self._shuffled = self._x_NE.clone(), x_ND.new_empty(M, 1, N), x_ND.new_empty(M, C, N)
        weights = network.flat.data
        gradient, mean, square = torch.zeros(3, len(weights), device=x_ND.device)
        self._adam = fused_adam(weights, gradient, mean, square, lr)
        split = (tensor.split(batch, dim) for tensor, dim in zip(self._shuffled, (0, 2, 2), strict=True))
        batches = list(zip(*split, strict=True))
        gradients = {B: _Gradient(network, gradient, B) for B in {len(x_BE) for x_BE, *_ in batches}}
        differentiate = [
            partial(gradients[len(x_BE)], x_BE.T.expand(M, -1, -1), x_BE.expand(M, -1, -1), *others)
            for x_BE, *others in batches
        ]
        self._step_S = torch.arange(1, len(differentiate) + 1, dtype=weights.dtype, device=weights.device)
        self._steps = list(zip(differentiate, self._step_S.unbind(), strict=True))

    def shuffle(self, order_N: Tensor) -> None:
        x_NE, weights_M1N, minus_labels_MCN = self._shuffled
        torch.index_select(self._x_NE, 0, order_N, out=x_NE)
        labels_MN = self._labels_MN[:, order_N]
        known_MSB = F.pad((labels_MN >= 0).to(x_NE), (0, -len(x_NE) % self._batch)).unflatten(1, (-1, self._batch))
        known_MSB /= known_MSB.sum(2, keepdim=True).clamp(min=1)
        weights_M1N.copy_(known_MSB.flatten(1)[:, None, : len(x_NE)])
        torch.mul(self._number_C1 == labels_MN[:, None], weights_M1N, out=minus_labels_MCN).neg_()

    def __call__(self) -> None:
        for differentiate, number in self._steps:
            differentiate()
            self._adam(number)
        self._step_S += len(self._steps)


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

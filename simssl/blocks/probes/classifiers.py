"""Linear and MLP classifiers of several targets, trained as one batched network on frozen features.

Their gradient is written out and Adam's kernel called alone, since a step of so small a network takes as long as torch
takes to call its operations. `benchmarks/evaluation.py` compares this with autograd on a `ParallelMLP` and
`torch.optim.Adam(fused=True)`: an MLP 64-64-10 was trained seven times as fast on two cores.

M counts problems, each with a classifier of its own. A layer has I inputs and O outputs, and P is the number of outputs
of the layer that comes after it. E is I + 1 or D + 1: inputs and a one, with which the bias is multiplied. S counts the
steps of an epoch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simssl.blocks.probes.adam import adam_of_problems
from simssl.blocks.probes.graph import capture
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
        M = len(classes)
        C = max(classes)
        start = ParallelMLP(M, (inputs, *hidden, C), generator)
        layers = []
        for weight_MIO, bias_M1O in zip(start.weights, start.biases, strict=True):
            layer_MOE = torch.cat((weight_MIO.mT, bias_M1O.mT), 2)
            layers.append(layer_MOE.detach())

        number_C = torch.arange(C, device=generator.device)
        classes_M1 = torch.tensor(classes, device=generator.device)[:, None]
        biases_MC = layers[-1][..., -1]
        biases_MC.masked_fill_(number_C >= classes_M1, -torch.inf)

        self._shapes = [layer.shape for layer in layers]
        self.flat = nn.Parameter(torch.cat([layer.flatten() for layer in layers]))

    def layers_in(self, flat: Tensor) -> list[Tensor]:
        """The layers (M, O, I + 1), each a view of `flat`, or of a vector laid out as it is."""
        sizes = [shape.numel() for shape in self._shapes]
        parts = zip(flat.split(sizes), self._shapes, strict=True)
        return [part.view(shape) for part, shape in parts]

    @property
    def layers(self) -> list[Tensor]:
        """The layers (M, O, I + 1), each a view of `flat`."""
        return self.layers_in(self.flat)

    def forward(self, x_BD: Tensor) -> Tensor:
        M = self._shapes[0][0]
        h_MIB = x_BD.T.expand(M, -1, -1)
        ones_M1B = x_BD.new_ones(M, 1, len(x_BD))
        for number, layer_MOE in enumerate(self.layers):
            if number > 0:
                h_MIB = h_MIB.relu()
            h_MIB = layer_MOE @ torch.cat((h_MIB, ones_M1B), 1)
        return h_MIB.mT


class _Hidden(NamedTuple):
    """A hidden layer, the tensors of B images that it is written into, and the views of them that a step needs."""

    layer_MOE: Tensor
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
    def of(cls, layer_MOE: Tensor, after: Tensor, B: int) -> _Hidden:
        M, width, _ = layer_MOE.shape
        output_and_ones = layer_MOE.new_ones(M, width + 1, B)
        linear_MOB, slope_MOB, gradient_MOB = layer_MOE.new_empty(3, M, width, B)
        return cls(
            layer_MOE,
            after_MOP=after[:, :, :-1].mT,
            linear_MOB=linear_MOB,
            output_MOB=output_and_ones[:, :-1],
            output_and_ones=output_and_ones,
            transposed=output_and_ones.mT,
            slope_MOB=slope_MOB,
            gradient_MOB=gradient_MOB,
        )


class _Gradient:
    """The gradient of the weighted sum of the cross entropies over problems and images, written into a vector.

    It works on views that are made once, for batches of B images, since a view takes as long as a product. The images
    come last, since a softmax over a short last axis is slow. Products are written into tensors without gaps: the
    products of all problems are one only then.
    """

    def __init__(self, network: ParallelClassifiers, into: Tensor, B: int) -> None:
        layers = network.layers_in(network.flat.data)
        self._of_layers = network.layers_in(into)
        self._hidden = []
        for layer_MOE, after in itertools.pairwise(layers):
            self._hidden.append(_Hidden.of(layer_MOE, after, B))
        self._last = layers[-1]
        self._zero = into.new_zeros(())
        M, C, _ = self._last.shape
        self._logits_MCB, self._softmax_MCB, self._of_logits_MCB = into.new_empty(3, M, C, B)

    def __call__(self, x_MEB: Tensor, x_MBE: Tensor, weights_M1B: Tensor, minus_labels_MCB: Tensor) -> None:
        """Write the gradient for a batch.

        The inputs come with their row of ones (E = D + 1), and transposed once more. The labels are minus the image's
        weight in the row of its class, and 0 in all others.
        """
        input_MIB = x_MEB
        for hidden in self._hidden:
            torch.bmm(hidden.layer_MOE, input_MIB, out=hidden.linear_MOB)
            torch.maximum(hidden.linear_MOB, self._zero, out=hidden.output_MOB)
            input_MIB = hidden.output_and_ones
        torch.bmm(self._last, input_MIB, out=self._logits_MCB)
        torch.softmax(self._logits_MCB, 1, out=self._softmax_MCB)
        gradient_MOB = torch.addcmul(minus_labels_MCB, self._softmax_MCB, weights_M1B, out=self._of_logits_MCB)
        for hidden, of_layer in zip(reversed(self._hidden), reversed(self._of_layers), strict=False):
            torch.bmm(gradient_MOB, hidden.transposed, out=of_layer)
            slope_MOB = torch.sign(hidden.output_MOB, out=hidden.slope_MOB)
            gradient_MOB = torch.bmm(hidden.after_MOP, gradient_MOB, out=hidden.gradient_MOB)
            gradient_MOB.mul_(slope_MOB)
        torch.bmm(gradient_MOB, x_MBE, out=self._of_layers[0])


class _Epoch:
    """The steps of an epoch, on tensors that stay where they are.

    `shuffle` gives them the images in a new order. The steps' numbers, which Adam needs, go on from epoch to epoch.
    """

    def __init__(
        self,
        network: ParallelClassifiers,
        x_ND: Tensor,
        labels_MN: Tensor,
        batch: int,
        lr: float | Sequence[float],
    ) -> None:
        self._labels_MN = labels_MN
        self._batch = batch
        self._x_NE = F.pad(x_ND, (0, 1), value=1)
        M, C, _ = network.layers[-1].shape
        N = len(x_ND)
        self._number_C1 = torch.arange(C, device=x_ND.device)[:, None]
        self._shuffled_x_NE = self._x_NE.clone()
        self._weights_M1N = x_ND.new_empty(M, 1, N)
        self._minus_labels_MCN = x_ND.new_empty(M, C, N)

        weights = network.flat.data
        gradient, mean, square = torch.zeros(3, len(weights), device=x_ND.device)
        self._adam = adam_of_problems(network.layers_in, (weights, gradient, mean, square), lr)

        gradients: dict[int, _Gradient] = {}
        differentiate = []
        batches = zip(
            self._shuffled_x_NE.split(batch),
            self._weights_M1N.split(batch, 2),
            self._minus_labels_MCN.split(batch, 2),
            strict=True,
        )
        for x_BE, weights_M1B, minus_labels_MCB in batches:
            B = len(x_BE)
            if B not in gradients:
                gradients[B] = _Gradient(network, gradient, B)
            x_MBE = x_BE.expand(M, -1, -1)
            differentiate.append(partial(gradients[B], x_MBE.mT, x_MBE, weights_M1B, minus_labels_MCB))
        S = len(differentiate)
        self._step_S = torch.arange(1, S + 1, dtype=weights.dtype, device=weights.device)
        self._steps = list(zip(differentiate, self._step_S.unbind(), strict=True))

    def shuffle(self, order_N: Tensor) -> None:
        torch.index_select(self._x_NE, 0, order_N, out=self._shuffled_x_NE)
        labels_MN = self._labels_MN[:, order_N]
        self._weigh(labels_MN >= 0)
        is_class_MCN = self._number_C1 == labels_MN[:, None]
        torch.mul(is_class_MCN, self._weights_M1N, out=self._minus_labels_MCN).neg_()

    def _weigh(self, known_MN: Tensor) -> None:
        """Write the weight of each image: 1 / (the labelled images in its batch), or 0 if it has no label."""
        N = len(self._x_NE)
        missing = -N % self._batch
        known_MN = F.pad(known_MN.to(self._x_NE), (0, missing))
        known_MSB = known_MN.unflatten(1, (-1, self._batch))
        known_MSB /= known_MSB.sum(2, keepdim=True).clamp(min=1)
        weights_MN = known_MSB.flatten(1)[:, :N]
        self._weights_M1N.copy_(weights_MN[:, None])

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
    lr: float | Sequence[float],
    generator: torch.Generator,
) -> Iterator[int]:
    """Train by Adam on the mean cross entropies, yielding the number of each epoch as it ends.

    `lr` is the learning rate, one for all problems or one for each.

    It does what `train_epochs` does with that loss: mini-batches of a new order each epoch, none is dropped. A label
    of -1 does not count. On CUDA an epoch is a graph, captured after the first.
    """
    epoch = _Epoch(network, x_ND, labels_MN, batch, lr)
    steps: Callable[[], None] = epoch
    for number in range(1, epochs + 1):
        order_N = torch.randperm(len(x_ND), generator=generator, device=x_ND.device)
        epoch.shuffle(order_N)
        if number == 2:
            steps = capture(epoch, x_ND.device)
        with threads_for(network.flat.numel() * batch):
            steps()
        yield number

"""Small models fitted on frozen representations: MLPs by Adam, ridge regression in closed form.

M counts networks that are trained together, P the columns to predict, T the targets that they belong to, and L the
penalties of ridge regression. I is the number of a layer's inputs, O that of outputs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from simssl.blocks.internals import allow_eager_steps
from simssl.blocks.probes.graph import capture
from simssl.blocks.statistics.geometry import varying_columns


class ParallelMLP(nn.Module):
    """M independent MLPs with ReLU on the same inputs, as one batched network: (B, D) -> (M, B, O).

    Initialised as `nn.Linear` is. The gradient of a sum of M losses, each of one network's output, trains each
    network as if it were alone.
    """

    def __init__(self, problems: int, widths: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for inputs, outputs in itertools.pairwise(widths):
            bound = 1 / math.sqrt(inputs)
            for parameters, rows in ((self.weights, inputs), (self.biases, 1)):
                value = torch.empty(problems, rows, outputs, device=generator.device)
                value.uniform_(-bound, bound, generator=generator)
                parameters.append(nn.Parameter(value))

    def forward(self, x_BD: Tensor) -> Tensor:
        M = len(self.weights[0])
        h_MBI = x_BD.expand(M, *x_BD.shape)
        for layer, weight_MIO in enumerate(self.weights):
            if layer > 0:
                h_MBI = h_MBI.relu()
            h_MBI = torch.baddbmm(self.biases[layer], h_MBI, weight_MIO)
        return h_MBI


def train_epochs(
    network: nn.Module,
    x_ND: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    epochs: int,
    batch: int,
    lr: float,
    generator: torch.Generator,
) -> Iterator[int]:
    """Train by Adam, yielding the number of each epoch as it ends.

    `loss(network(x), index_B)` is minimised over mini-batches of a new order each epoch. None is dropped; a last one
    of a single row, which batch norm could not take, joins the one before.

    On CUDA a step on a full batch is a graph, captured after the first, unless `loss` or `network` make the host wait
    (see `capture`). `index_B` is a tensor on the device that keeps its place, and has other numbers in the next step.
    """
    take_step = _Steps(network, x_ND, loss, batch, lr)
    for epoch in range(1, epochs + 1):
        with torch.enable_grad():
            order_N = torch.randperm(len(x_ND), generator=generator, device=x_ND.device)
            for index_B in _batches(order_N, batch):
                take_step(index_B)
        yield epoch


class _Steps:
    """Steps of Adam. Those on full batches work on tensors that stay where they are, so that they can be captured."""

    def __init__(
        self,
        network: nn.Module,
        x_ND: Tensor,
        loss: Callable[[Tensor, Tensor], Tensor],
        batch: int,
        lr: float,
    ) -> None:
        self._network = network
        self._x_ND = x_ND
        self._loss = loss
        self._optimizer = torch.optim.Adam(network.parameters(), lr=lr, fused=True, capturable=x_ND.is_cuda)
        allow_eager_steps(self._optimizer)
        self._index_B = torch.empty(batch, dtype=torch.long, device=x_ND.device)
        self._replay: Callable[[], None] | None = None
        """The captured step on a full batch. It holds no reference to this object, which would keep itself then."""
        self._full_batches = 0

    def __call__(self, index_B: Tensor) -> None:
        if len(index_B) != len(self._index_B):
            self._step(index_B)
            return
        self._index_B.copy_(index_B)
        self._full_batches += 1
        if self._full_batches == 2:
            self._capture()
        if self._replay is None:
            self._step(self._index_B)
        else:
            self._replay()

    def _capture(self) -> None:
        step = partial(self._step, self._index_B)
        replay = capture(step, self._x_ND.device)
        self._replay = None if replay is step else replay

    def _step(self, index_B: Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        self._loss(self._network(self._x_ND[index_B]), index_B).backward()
        self._optimizer.step()


def _batches(order_N: Tensor, batch: int) -> list[Tensor]:
    *parts, last_B = order_N.split(batch)
    if parts and len(last_B) == 1:
        last_B = torch.cat([parts.pop(), last_B])
    return [*parts, last_B]


class Standardizer:
    """Columns shifted and scaled to mean 0 and variance 1 on the data that it is made from.

    A column that is constant but for rounding is not scaled.
    """

    def __init__(self, x_ND: Tensor) -> None:
        self.mean_D = x_ND.mean(0)
        self.scale_D = torch.where(varying_columns(x_ND), x_ND.std(0, correction=0), 1)

    def __call__(self, x_ND: Tensor) -> Tensor:
        return (x_ND - self.mean_D) / self.scale_D

    def inverse(self, y_ND: Tensor) -> Tensor:
        return y_ND * self.scale_D + self.mean_D


def ridge(x_ND: Tensor, y_NP: Tensor, penalties: Sequence[float]) -> Callable[[Tensor], Tensor]:
    """Ridge regressions of y on x, one for each penalty: the returned function gives predictions (L, N, P).

    min_w |y - x w|^2 / N + penalty |w|^2, with intercept, x and y standardised; in float64.
    """
    scale_x = Standardizer(x_ND.double())
    scale_y = Standardizer(y_NP.double())
    x_ND = scale_x(x_ND.double())
    y_NP = scale_y(y_NP.double())
    N = len(x_ND)
    values_D, vectors_DD = torch.linalg.eigh(x_ND.T @ x_ND / N)
    projected_DP = vectors_DD.T @ (x_ND.T @ y_NP) / N
    penalties_L = torch.tensor(penalties, dtype=torch.float64, device=x_ND.device)
    scales_LD1 = values_D.clamp(min=0)[:, None] + penalties_L[:, None, None]
    weights_LDP = vectors_DD @ (projected_DP / scales_LD1)

    def predict(new_ND: Tensor) -> Tensor:
        return scale_y.inverse(scale_x(new_ND.double()) @ weights_LDP)

    return predict


def r2(predicted: Tensor, y_NP: Tensor, target_P: Tensor | None = None) -> Tensor:
    """1 - SSE/SST of each column, unclipped, in float64: (..., N, P) -> (..., P).

    With `target_P`, the number of the target that each column belongs to, both sums go over all columns of a target:
    (..., N, P) -> (..., T).
    """
    y_NP = y_NP.double()
    sse = (predicted.double() - y_NP).square().sum(-2)
    sst = (y_NP - y_NP.mean(0)).square().sum(0)
    if target_P is not None:
        sse = _summed(sse, target_P)
        sst = _summed(sst, target_P)
    return 1 - sse / sst


def _summed(values: Tensor, target_P: Tensor) -> Tensor:
    """The sums over each target's columns: (..., P) -> (..., T)."""
    targets = int(target_P.max()) + 1
    sums = values.new_zeros(*values.shape[:-1], targets)
    return sums.index_add_(-1, target_P, values)

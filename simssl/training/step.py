"""One training step as a unit on the device: done eagerly, or captured into a CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from simssl.api import Objective, Terms
from simssl.blocks.distributed import average, copy_from_first, rank, world_size
from simssl.training.batch_counts import BatchCounts
from simssl.training.build import BuiltRun
from simssl.training.contract import check_terms
from simssl.training.machine.pool import Pool
from simssl.training.machine.precision import computed_in, networks_in, step_in
from simssl.training.machine.shadow_weights import shadow_weights
from simssl.training.optimizer.optimize import LearningRates, build_optimizer, clip_gradient
from simssl.training.own_draws import refuse_own_draws
from simssl.training.records.terms import TermWindow
from simssl.training.told import Told
from simssl.training.views import BySize


def own_order(order_NK: Tensor, images_per_step: int) -> Tensor:
    """The part of an epoch's order that this process is given, (X,): of each batch its own images, step by step.

    K counts the images that the views of one come from: 1, or J with positives from the data.
    """
    processes = world_size()
    if processes == 1:
        return order_NK.flatten()
    steps = len(order_NK) // images_per_step
    order_SRB = order_NK[: steps * images_per_step].reshape(steps, processes, -1)
    return order_SRB[:, rank()].flatten()


def as_on_first(objective: Objective, weights_N: Tensor | None, generator: torch.Generator) -> None:
    """Begin an epoch as process 0 does: with its weights, its state, its sampling weights and its random numbers."""
    if world_size() == 1:
        return
    random = generator.get_state()
    sampled = [] if weights_N is None else [weights_N]
    copy_from_first([*objective.parameters(), *objective.buffers(), *sampled, random])
    generator.set_state(random)


class Step:
    """The training step. Calling it takes one step.

    It works on tensors of the device alone, which keep their addresses from step to step. The host decides nothing and
    waits for nothing in it. The next images, the learning rate and the progress follow from counters, which the step
    counts up by itself. So a replay of what it did once is the next step. M counts the views of a step, X the images of
    an epoch's order.
    """

    def __init__(self, built: BuiltRun, pool: Pool) -> None:
        self.settings = built.experiment.training
        self.objective = built.objective
        self.views = built.views
        self.generator = built.generator
        self.device = built.device
        self.pool = pool
        self.told = Told(built)
        self._batch_counts = BatchCounts(built.objective)
        self.precision = computed_in(self.settings.precision, self.device)
        self.optimizer = build_optimizer(self.settings.optimizer, self.objective.parameter_groups())
        schedule = self.settings.schedule
        self.rates = LearningRates(self.optimizer, schedule, built.steps, self.device)
        self.window = TermWindow()
        self.images_each = built.images_each
        """The images that the views of one come from."""
        order_NK = torch.zeros(len(pool.images_NCHW), self.images_each, dtype=torch.long, device=self.device)
        self.order_X = own_order(order_NK, built.images_per_step)
        """The images of the epoch that this process is given, in the order in which they are shown."""
        images_shown = built.images_per_step // world_size() * self.images_each
        self._offset_M = self._offsets(images_shown)
        counted = [1] + [images_shown] * len(self._offset_M)
        self._counters = torch.zeros(len(counted), dtype=torch.long, device=self.device)
        self._counted = torch.tensor(counted, device=self.device)
        """What a step adds to the counters."""
        self.taken = self._counters[0]
        """The number of steps that are done."""
        self.position_M = self._counters[1:]
        """The positions in this order of the images that the next views are of; that of the first view comes first."""
        self.set_counters(0, 0)
        self._unseen = world_size() > 1
        self._ones: dict[torch.dtype, Tensor] = {}
        self._steps = torch.full((), built.steps, device=self.device)
        after_step = getattr(self.objective.after_step, "__func__", None)
        self._has_after_step = after_step is not Objective.after_step
        """False if the objective does nothing after a step, so that nobody asks for the progress."""

    def _offsets(self, images_shown: int) -> Tensor:
        """The number in a batch of the image that each view is of (M,): view after view, image after image."""
        number_BK = torch.arange(images_shown, device=self.device).view(-1, self.images_each)
        return number_BK.expand(-1, len(self.objective.views)).flatten()

    def set_counters(self, taken: int, position: int) -> None:
        """Let the next step be the one after `taken` steps, with the images from this position in the order on."""
        self.taken.fill_(taken)
        torch.add(self._offset_M, position, out=self.position_M)

    def __call__(self) -> None:
        """Take one step."""
        # 1. The next images, and views of them.
        index_B, x_BJCHW = self._next_views()

        # 2. The terms of the loss, and the gradient of their sum.
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._average(self._forward_and_backward(x_BJCHW, index_B))
        clip_gradient(self.optimizer, self.settings.gradient_clip)

        # 3. The parameters.
        self.rates.look_up(self.taken)
        self.optimizer.step()
        self._counters += self._counted

        # 4. What the objective does after a step, and the record of the terms.
        if self._has_after_step:
            self.objective.after_step(self.taken / self._steps)
        self.window.add(terms)

    def _next_views(self) -> tuple[Tensor, Tensor | BySize]:
        """Return the index in the training split (B,) of the next images, and their views (B, J, C, H, W).

        With small views there are two tensors of views, one for each size.
        """
        index_M = self.order_X.index_select(0, self.position_M)
        images_MCHW = self.pool.take(index_M, self.position_M)
        kinds = self.objective.views
        J = len(kinds)
        images_BJCHW = images_MCHW.unflatten(0, (-1, J))
        index_BJ = index_M.view(-1, J)
        return index_BJ[:, 0], self.views.of_images(images_BJCHW, kinds, self.generator)

    def _forward_and_backward(self, x_BJCHW: Tensor | BySize, index_B: Tensor) -> Terms:
        """Return the terms of the loss. Every parameter has the gradient of their sum then."""
        told = self.told.of(x_BJCHW, index_B)
        with step_in(self.precision):
            with (
                networks_in(self.precision, self.device),
                self._own_draws_refused(),
                shadow_weights(self.objective) if self.precision == "bfloat16" else nullcontext(),
                self._batch_counts.added_together(),
            ):
                terms: Terms = self.objective(x_BJCHW, index_B, self.generator, **told)
            check_terms(self.objective, terms)
            self._backward(terms)
        return terms

    def _backward(self, terms: Terms) -> None:
        """The gradient of the sum of the terms: each of them has a gradient of 1, so that nothing need be summed."""
        parts = [value for value in terms.loss.values() if value.requires_grad]
        torch.autograd.backward(parts, [self._one(value.dtype) for value in parts])

    def _one(self, dtype: torch.dtype) -> Tensor:
        if dtype not in self._ones:
            self._ones[dtype] = torch.ones((), dtype=dtype, device=self.device)
        return self._ones[dtype]

    def _own_draws_refused(self) -> AbstractContextManager[None]:
        """Look, in the first step on several processes, whether the networks draw random numbers by themselves."""
        if not self._unseen:
            return nullcontext()
        self._unseen = False
        return refuse_own_draws(self.device)

    def _average(self, terms: Terms) -> Terms:
        """Make each gradient its mean over all processes, and return the means of the terms, in one exchange."""
        if world_size() == 1:
            return terms
        loss = {name: _copy(value) for name, value in terms.loss.items()}
        monitor = {name: _copy(value) for name, value in terms.monitor.items()}
        gradients = [parameter.grad for parameter in self.objective.parameters() if parameter.grad is not None]
        average([*gradients, *loss.values(), *monitor.values()])
        return Terms(loss, monitor)

    def tensors(self) -> Iterator[Tensor]:
        """Yield all tensors that a step changes. The states of random generators are not among them."""
        yield from self.objective.parameters()
        yield from self.objective.buffers()
        for state in self.optimizer.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    yield value
        yield from self.window.tensors()
        yield self._counters


def _copy(term: Tensor) -> Tensor:
    """The term, to be averaged: a count, or a number of half precision, in float32."""
    return term.detach().to(torch.promote_types(term.dtype, torch.float32), copy=True)

"""One training step as a unit on the device: done eagerly, or captured into a CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from simssl.api import Terms
from simssl.training.build import BuiltRun
from simssl.training.contract import check_terms
from simssl.training.optimize import LearningRates, build_optimizer, clip_gradient
from simssl.training.pool import Pool
from simssl.training.precision import computed_in, networks_in, step_in
from simssl.training.terms import TermWindow


class Step:
    """What one step does, on tensors of the device alone, which stay at their places from step to step.

    The host decides nothing and waits for nothing in it: which images are next, the learning rate and the progress
    follow from `taken` and `position`, which the step counts up by itself. So a replay of what it did once is the
    next step.
    """

    def __init__(self, built: BuiltRun, pool: Pool) -> None:
        self.settings = built.experiment.training
        self.objective, self.views, self.generator = built.objective, built.views, built.generator
        self.device, self.pool = built.device, pool
        self.precision = computed_in(self.settings.precision, self.device)
        self.optimizer = build_optimizer(self.settings.optimizer, self.objective.parameter_groups())
        self.rates = LearningRates(self.optimizer, self.settings.schedule, built.steps, self.device)
        self.window = TermWindow()
        self.order_N = torch.arange(len(pool.images_NCHW), device=self.device)
        """The images of the epoch, in the order in which they are shown."""
        self.taken = torch.zeros((), dtype=torch.long, device=self.device)
        """Steps that are done."""
        self.position = torch.zeros((), dtype=torch.long, device=self.device)
        """Where in the order the next batch begins."""
        self._steps = torch.full((), built.steps, device=self.device)
        self._offset_B = torch.arange(built.images_per_step, device=self.device)

    def place(self, taken: int, position: int) -> None:
        """Set the counters."""
        self.taken.fill_(taken)
        self.position.fill_(position)

    def __call__(self) -> None:
        """Take a batch, descend, and count."""
        index_B, images_BCHW = self._next_images()
        x_BJCHW = self.views.batch(images_BCHW, self.objective.views, self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._descend(x_BJCHW, index_B)
        clip_gradient(self.optimizer, self.settings.gradient_clip)
        self.rates.look_up(self.taken)
        self.optimizer.step()
        self.taken += 1
        self.objective.after_step(self.taken / self._steps)
        self.window.add(self.taken, terms)

    def _next_images(self) -> tuple[Tensor, Tensor]:
        """The next batch: places in the training split (B,), and images (B, C, H, W), uint8."""
        place_B = self.position + self._offset_B
        self.position += len(self._offset_B)
        index_B = self.order_N.index_select(0, place_B)
        return index_B, self.pool.take(index_B, place_B)

    def _descend(self, x_BJCHW: Tensor, index_B: Tensor) -> Terms:
        """The terms of the loss, whose gradient every parameter has then."""
        with step_in(self.precision):
            with networks_in(self.precision, self.device):
                terms: Terms = self.objective(x_BJCHW, index_B, self.generator)
            check_terms(self.objective, terms)
            torch.stack(list(terms.loss.values())).sum().backward()
        return terms

    def tensors(self) -> Iterator[Tensor]:
        """All that a step changes, but for the states of random generators."""
        yield from self.objective.parameters()
        yield from self.objective.buffers()
        for state in self.optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))
        yield from self.window.tensors()
        yield self.taken
        yield self.position

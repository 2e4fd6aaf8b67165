"""A run in training: its steps, its records and its state, exact to resume at any step."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from simssl.blocks.distributed import rank, world_size
from simssl.errors import RunError
from simssl.store import checkpoint
from simssl.store.checkpoint import State
from simssl.store.folder import RunFolder
from simssl.store.state import check_within
from simssl.training.build import BuiltRun
from simssl.training.capture.cuda_graph import CudaGraphs
from simssl.training.capture.launcher import LONGEST, Captured, Graphs, Launcher, launcher, next_launch
from simssl.training.capture.snapshot import held, same
from simssl.training.contract import check_weights
from simssl.training.encode_all import encode_all as encoded
from simssl.training.machine.device_memory import give_back
from simssl.training.machine.host_memory import HostMemory
from simssl.training.machine.pool import pool_of
from simssl.training.optimizer.optimize import forget
from simssl.training.records.finished import FinishedSteps
from simssl.training.records.records import Records
from simssl.training.records.terms import TermWindow
from simssl.training.records.trackers import Trackers
from simssl.training.saving import restore_training, state_of
from simssl.training.step import Step, as_on_first, own_order
from simssl.training.watch import Watch
from simssl.training.weights import restore_weights


class Trainer:
    """A run in training: it takes steps, logs terms, saves its state and restores it.

    `graphs` captures steps and replays them. On CUDA the trainer has its own.
    """

    def __init__(self, built: BuiltRun, folder: RunFolder, graphs: Graphs | None = None) -> None:
        self.built = built
        self.folder = folder
        self.settings = built.experiment.training
        self.objective = built.objective
        self.generator = built.generator
        self.device = built.device
        self.batch = built.images_per_step
        longest_launch = LONGEST * self.batch * built.images_each
        self.pool = pool_of(built.data.train.images, self.device, most=longest_launch)
        self.images_NCHW = self.pool.images_NCHW
        self.unit = Step(built, self.pool) if built.steps else None
        """The step; None for an objective that is not trained."""
        order_shape = (len(self.images_NCHW), built.images_each)
        self.order_NK = torch.zeros(order_shape, dtype=torch.long, device=self.device)
        """The images of the epoch, in the order in which they are shown by all processes together. With positives from
        the data each is followed by the others that its views come from."""
        self.graphs = graphs
        if self.device.type == "cuda":
            self.graphs = CudaGraphs(self.device, self.generator)
        self._launch: Launcher | None = None
        self._memory = HostMemory(self.device)
        self.window = self.unit.window if self.unit else TermWindow()
        self.records = Records(self.window, self._where)
        self.watch = Watch(built.experiment, built.steps, built.views_per_step)
        self.step = 0
        """The number of steps that are launched."""
        self.finished = FinishedSteps(self.device)
        self.epoch = 0
        """The number of epochs that were begun."""
        self.position = len(self.images_NCHW)
        """The position in the epoch's order at which the next batch begins."""
        self.done = False
        self.seconds = 0.0
        """The time that the training took, up to the last save."""
        self._clock = time.perf_counter()
        self._saved_at = self._clock

    @property
    def over(self) -> bool:
        """True once no step is left: the budget is spent, or the numbers on held-out images have ended the training."""
        return self.step == self.built.steps or self.watch.ends

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        assert self.unit is not None
        return self.unit.optimizer

    # --- steps ----------------------------------------------------------------------------------------

    def train_step(self) -> None:
        """Launch one step, or several where they are captured, and count them."""
        assert self.unit is not None
        num_images = len(self.images_NCHW)
        if self.position + self.batch > num_images:
            self._begin_epoch()
        if self._launch is None:
            self._launch = self._launcher(self.unit)
        steps = next_launch(
            step=self.step,
            steps=self.built.steps,
            log_every=self.settings.log_every,
            left_in_epoch=(num_images - self.position) // self.batch,
            longest=self._launch.longest,
            left_to_measurement=self.watch.until(self.step),
        )
        end = self.position + steps * self.batch
        own_end = self._shown(end)
        self.pool.ready(own_end)
        self._launch(steps)
        self.pool.launched(own_end)
        self.position = end
        self.step += steps
        self.window.count += steps
        self.finished.launched(self.unit.taken)
        self._memory.keep()

    def _shown(self, position: int) -> int:
        """The images that this process has been shown before a position in the epoch's order."""
        return position // world_size() * self.built.images_each

    def _launcher(self, unit: Step) -> Launcher:
        """Return what launches the steps: captured ones if that can be. Trying it takes the next batch."""
        self._memory.begin()
        own_position = self._shown(self.position)
        self.pool.ready(own_position + self._shown(self.batch))
        self.objective.train()
        steps_per_epoch = len(self.images_NCHW) // self.batch
        return launcher(
            unit,
            self.graphs,
            name=self.built.experiment.objective.name,
            taken=self.step,
            position=own_position,
            longest=min(self.settings.log_every, steps_per_epoch),
        )

    def _begin_epoch(self) -> None:
        """Draw the order of the images anew. What was left of the last order is dropped."""
        assert self.unit is not None
        num_images = len(self.images_NCHW)
        self.records.require_finite(self.step)  # before an objective fits anything to its representations
        before = held(self.objective) if isinstance(self._launch, Captured) else None

        weights_N = self.objective.before_epoch(self.epoch, self.encode_all, self.generator)
        check_weights(self.objective, weights_N, num_images)
        as_on_first(self.objective, weights_N, self.generator)
        forget(self.optimizer, self.objective.restarted_parameters())
        self.objective.train()

        if before is not None and not same(before, held(self.objective)):
            self._launch = None  # captured steps would go on with what was there before

        if weights_N is None:
            order_N = torch.randperm(num_images, generator=self.generator, device=self.device)
        else:
            order_N = torch.multinomial(weights_N, num_images, replacement=True, generator=self.generator)
        self.show(self._with_positives(order_N))
        self.epoch += 1
        self.stand_at(0)

    def _with_positives(self, order_N: Tensor) -> Tensor:
        """The images of an epoch, (N, K): each with the others that its views come from."""
        groups = self.built.groups
        if groups is None:
            return order_N[:, None]
        return groups.draw(order_N, self.built.images_each, self.generator)

    def show(self, order_NK: Tensor) -> None:
        """Show the images in this order from now on; on several processes this one its own part of each batch."""
        assert self.unit is not None
        self.order_NK.copy_(order_NK)
        self.unit.order_X.copy_(own_order(order_NK, self.batch))

    def stand_at(self, position: int) -> None:
        """Go on with the image at this position of the order."""
        assert self.unit is not None
        self.position = position
        own_position = self._shown(position)
        self.unit.set_counters(self.step, own_position)
        self.finished.launched(self.unit.taken)
        self.pool.begin(self.unit.order_X, own_position)

    def encode_all(self) -> Tensor:
        """Return the representations (N, D) of the training images, without random views."""
        return encoded(self.built, self.images_NCHW)

    def release(self) -> None:
        """Give back the memory that is kept for steps. Gradients go as well: they would keep their graph's memory."""
        self._launch = self.graphs = None
        self.objective.zero_grad(set_to_none=True)
        self._memory.give_back()
        give_back()

    # --- records and checkpoints ----------------------------------------------------------------------

    def log_and_save(self, trackers: Trackers) -> None:
        """Take a record of the terms, and save if it is time: every `log_every` steps and after the last.

        The trackers are told of a record once it is here: on a CPU at once, on CUDA some launches later. They are told
        at the latest when the next one is taken, at a new epoch, before a save, and at the end.
        """
        self.records.tell_if_here()
        last = self.step == self.built.steps
        if self.step % self.settings.log_every and not last:
            return
        self.records.take(self.step, trackers)
        self.records.tell_if_here()
        if last:
            self.records.tell()
        since_saved = time.perf_counter() - self._saved_at
        if since_saved >= self.settings.checkpoint_seconds and not last:
            self.save()

    def _where(self) -> str:
        """The run's folder, and its last good checkpoint if there is one, for the sentences of errors."""
        if not self.folder.checkpoint.exists():
            return str(self.folder.path)
        return f"{self.folder.path}, whose last good checkpoint is {self.folder.checkpoint}"

    def save(self) -> None:
        """Write the state. Weights that are not finite never replace good ones: RunError says at which step.

        Of several processes the first one writes.
        """
        self.records.require_finite(self.step)
        if checkpoint.not_finite(self.objective.state_dict()):
            raise RunError(f"a weight is not finite at step {self.step} of {self._where()}")
        now = time.perf_counter()
        self.seconds += now - self._clock
        self._clock = now
        self._saved_at = now
        state = state_of(self)
        if rank() == 0:
            checkpoint.save_state(self.folder.checkpoint, state)

    def stood_still(self, seconds: float) -> None:
        """Leave so many seconds out of the time that the training took."""
        self._clock += seconds

    def restore(self) -> None:
        """Take up the saved state if there is one, and the number of threads that it was made with."""
        state = checkpoint.load_state(self.folder.checkpoint, self.built.experiment.digest)
        if state is not None:
            self.take_up(state)

    def take_up(self, state: State) -> None:
        """Go on from this state of the run, which process 0 has read."""
        restore_weights(self.built, self.folder, state)
        with checkpoint.fitting(self.folder.checkpoint):
            check_within("step", state["step"], self.built.steps)
        self.step = state["step"]
        self.done = state["done"]
        self.seconds = state["seconds"]
        if self.done:
            return
        checkpoint.require_device(state, self.folder.path, self.device)
        with checkpoint.fitting(self.folder.checkpoint):
            restore_training(self, state)

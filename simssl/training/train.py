"""The training loop: from a run that is built to its last checkpoint, exact to resume at any step."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from simssl.blocks.statistics.normal import moments
from simssl.errors import Interrupted, RunError, UserError
from simssl.store import checkpoint
from simssl.store.checkpoint import State
from simssl.store.folder import RunFolder
from simssl.training.build import BuiltRun
from simssl.training.capture.cuda_graph import CudaGraphs
from simssl.training.capture.launcher import LONGEST, Captured, Graphs, Launcher, launcher, next_launch
from simssl.training.capture.snapshot import held, same
from simssl.training.contract import check_weights, frozen
from simssl.training.host_memory import HostMemory
from simssl.training.optimize import forget
from simssl.training.pool import pool_of
from simssl.training.step import Step
from simssl.training.stop import Stop
from simssl.training.terms import TermWindow
from simssl.training.trackers import Trackers


def train(trainer: Trainer, trackers: Trackers, stop: Stop) -> None:
    """Train the run to the end, from where it stands.

    Raises RunError if a loss or a weight is not finite (the last good checkpoint stays), and Interrupted on a
    signal, after the state is saved.
    """
    built = trainer.built
    try:
        with stop.deferred():
            while trainer.step < built.steps:
                trainer.train_step()
                trainer.log_and_save(trackers)
                if stop.signum is not None:
                    trainer.save()
                    raise Interrupted(stop.signum, f"{trainer.folder.path} is saved after step {trainer.step}")
    finally:
        trainer.release()
    if not built.objective.trained:
        batches = built.views.plain_batches(trainer.images_NCHW, built.device)
        built.objective.fit(batches, built.generator)
    trainer.done = True
    trainer.save()


def trained_state(folder: RunFolder) -> State:
    """The state of a finished run; UserError if it is not finished."""
    state = checkpoint.load_state(folder.checkpoint)
    if state is None:
        raise UserError(f"{folder.path} has no checkpoint.pt; `simssl run` trains it anew")
    if not state["done"]:
        raise UserError(f"{folder.path} is not trained to the end; `simssl run` goes on with it")
    return state


def restore_trained(built: BuiltRun, folder: RunFolder) -> None:
    """Give the objective the weights of a finished run; UserError if it is not finished."""
    _restore_weights(built, folder, trained_state(folder))
    built.objective.eval()


def _restore_weights(built: BuiltRun, folder: RunFolder, state: State) -> None:
    """Weights and number of threads; RunError if they were made from other data or for other networks."""
    if state["data"] != built.data.fingerprint:
        raise RunError(
            f"{folder.path} was trained on other data (fingerprint {state['data']}, not {built.data.fingerprint}); "
            "name the folder of that data with --data, or train anew with `simssl run ... --fresh`"
        )
    torch.set_num_threads(state["threads"])
    with checkpoint.fitting(folder.checkpoint):
        built.objective.load_state_dict(state["objective"])


class Trainer:
    """The state of a training run, and what the next steps do to it.

    `graphs` captures steps and replays them; on CUDA it is there by itself.
    """

    def __init__(self, built: BuiltRun, folder: RunFolder, graphs: Graphs | None = None) -> None:
        self.built, self.folder, self.settings = built, folder, built.experiment.training
        self.objective, self.generator, self.device = built.objective, built.generator, built.device
        images_NCHW, self._batch = built.data.train.images, built.images_per_step
        self.pool = pool_of(images_NCHW, self.device, LONGEST * self._batch)
        self.images_NCHW = self.pool.images_NCHW
        self.unit = Step(built, self.pool) if built.steps else None
        """What a step does; None for what is not trained."""
        self.graphs = CudaGraphs(self.device, self.generator) if self.device.type == "cuda" else graphs
        self._launch: Launcher | None = None
        self._memory = HostMemory(self.device)
        self.window = self.unit.window if self.unit else TermWindow()
        self.step = self.epoch = 0
        self.position = len(self.images_NCHW)
        self.done = False
        self.seconds = 0.0
        self._clock = self._saved_at = time.perf_counter()

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        assert self.unit is not None
        return self.unit.optimizer

    # --- steps ----------------------------------------------------------------------------------------

    def train_step(self) -> None:
        """Launch what comes next, and count: one step, or several where they are captured."""
        assert self.unit is not None
        if self.position + self._batch > len(self.images_NCHW):
            self._begin_epoch()
        self._launch = self._launch or self._launcher(self.unit)
        left = (len(self.images_NCHW) - self.position) // self._batch
        steps = next_launch(self.step, self.built.steps, self.settings.log_every, left, self._launch.longest)
        end = self.position + steps * self._batch
        self.pool.ready(end)
        self._launch(steps)
        self.pool.launched(end)
        self.position = end
        self.step += steps
        self.window.count += steps
        self._memory.keep()

    def _launcher(self, unit: Step) -> Launcher:
        """Captured steps if that can be, where the run stands; trying it takes the next batch."""
        self._memory.begin()
        self.pool.ready(self.position + self._batch)
        self.objective.train()
        longest = min(self.settings.log_every, len(self.images_NCHW) // self._batch)
        name = self.built.experiment.objective.name
        return launcher(unit, self.graphs, name, self.step, self.position, longest)

    def _begin_epoch(self) -> None:
        """Draw the order of the images anew; what was left of the last one is dropped."""
        assert self.unit is not None
        n = len(self.images_NCHW)
        self.window.refuse_not_finite(self._where())  # before an objective fits anything to its representations
        before = held(self.objective) if isinstance(self._launch, Captured) else None
        weights_N = self.objective.before_epoch(self.epoch, self._encode_all, self.generator)
        check_weights(self.objective, weights_N, n)
        forget(self.optimizer, self.objective.restarted_parameters())
        self.objective.train()
        if before is not None and not same(before, held(self.objective)):
            self._launch = None  # captured steps would go on with what was there before
        if weights_N is None:
            order_N = torch.randperm(n, generator=self.generator, device=self.device)
        else:
            order_N = torch.multinomial(weights_N, n, replacement=True, generator=self.generator)
        self.unit.order_N.copy_(order_N)
        self.epoch += 1
        self._stand_at(0)

    def _stand_at(self, position: int) -> None:
        """Go on with the image at this position of the order."""
        assert self.unit is not None
        self.position = position
        self.unit.place(self.step, position)
        self.pool.begin(self.unit.order_N, position)

    def _encode_all(self) -> Tensor:
        batches = self.built.views.plain_batches(self.images_NCHW, self.device)
        with frozen(self.objective):
            return torch.cat([self.objective.posterior(x_BCHW).mean for x_BCHW in batches])

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D) of the training images' representations, to sample about."""
        mean_D, covariance_DD = moments(self._encode_all())
        return mean_D.cpu(), covariance_DD.cpu()

    def release(self) -> None:
        """Give back the memory that is kept for steps."""
        self._launch = self.graphs = None
        self._memory.give_back()

    # --- records and checkpoints ----------------------------------------------------------------------

    def log_and_save(self, trackers: Trackers) -> None:
        """At every `log_every` steps: read the terms, tell the trackers, and save if it is time."""
        if self.step % self.settings.log_every and self.step != self.built.steps:
            return
        terms = self.window.read(self._where())
        trackers.logged(self.step, terms)
        due = time.perf_counter() - self._saved_at >= self.settings.checkpoint_seconds
        if due and self.step != self.built.steps:
            self.save()

    def _where(self) -> str:
        good = f", whose last good checkpoint is {self.folder.checkpoint}" if self.folder.checkpoint.exists() else ""
        return f"{self.folder.path}{good}"

    def save(self) -> None:
        """Write the state; weights that are not finite never replace good ones."""
        self.window.refuse_not_finite(self._where())
        if not all(bool(tensor.isfinite().all()) for tensor in self.objective.state_dict().values()):
            raise RunError(f"a weight is not finite at step {self.step} of {self._where()}")
        now = time.perf_counter()
        self.seconds += now - self._clock
        self._clock = self._saved_at = now
        checkpoint.save_state(self.folder.checkpoint, self._state())

    def _state(self) -> State:
        state: State = {
            "digest": self.built.experiment.digest,
            "data": self.built.data.fingerprint,
            "device": self.device.type,
            "threads": torch.get_num_threads(),
            "done": self.done,
            "seconds": self.seconds,
            "step": self.step,
            "objective": self.objective.state_dict(),
            "num_images": len(self.images_NCHW),
            "image_shape": list(self.images_NCHW.shape[1:]),
        }
        if self.done:
            return state | ({"representations": self._moments()} if self.objective.decodes else {})
        if self.unit is None:
            return state
        return state | {
            "precision": self.unit.precision,
            "epoch": self.epoch,
            "position": self.position,
            "order": self.unit.order_N,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "random": checkpoint.random_states(self.device),
            "window": self.window.state(),
        }

    def restore(self) -> None:
        """Take up the saved state, if there is one, with the number of threads that it was made with."""
        state = checkpoint.load_state(self.folder.checkpoint, self.built.experiment.digest)
        if state is None:
            return
        _restore_weights(self.built, self.folder, state)
        self.step, self.done, self.seconds = state["step"], state["done"], state["seconds"]
        if self.done:
            return
        checkpoint.require_device(state, self.folder.path, self.device)
        with checkpoint.fitting(self.folder.checkpoint):
            self._restore_training(state)

    def _restore_training(self, state: State) -> None:
        if self.unit is None:
            return
        checkpoint.require_precision(state, self.folder.path, self.unit.precision, self.settings.precision)
        self.epoch = state["epoch"]
        self.unit.order_N.copy_(state["order"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.unit.rates.attach()
        self.window.restore(state["window"], self.device)
        self._stand_at(state["position"])
        self.generator.set_state(state["generator"])
        checkpoint.restore_random_states(state["random"], self.device)

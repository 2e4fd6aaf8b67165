"""The training loop: from an assembled run to its last checkpoint, exact to resume at any step."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from simssl.api import RunInfo, Terms
from simssl.blocks.gaussian import moments
from simssl.errors import Interrupted, RunError, UserError
from simssl.training import checkpoint
from simssl.training.assemble import Assembly
from simssl.training.checkpoint import State
from simssl.training.contract import check_terms, check_weights
from simssl.training.folder import RunFolder
from simssl.training.optimize import build_optimizer, clip_gradient, forget, set_learning_rate
from simssl.training.precision import networks_in, step_in
from simssl.training.stop import Stop
from simssl.training.terms import TermWindow
from simssl.training.trackers import Trackers


def train(trainer: Trainer, trackers: Trackers, stop: Stop) -> None:
    """Train the run to the end, from where it stands.

    Raises RunError if a loss or a weight is not finite (the last good checkpoint stays), and Interrupted on a
    signal, after the state is saved.
    """
    assembly = trainer.assembly
    with stop.deferred():
        while trainer.step < assembly.steps:
            trainer.train_step()
            trainer.log_and_save(trackers)
            if stop.signum is not None:
                trainer.save()
                raise Interrupted(stop.signum, f"{trainer.folder.path} is saved after step {trainer.step}")
    if not assembly.objective.trained:
        batches = assembly.views.plain_batches(trainer.images_NCHW, assembly.device)
        assembly.objective.fit(batches, assembly.generator)
    trainer.done = True
    trainer.save()


def run_info(assembly: Assembly, folder: RunFolder, step: int) -> RunInfo:
    """What trackers are told of a run that starts after `step` steps."""
    experiment = assembly.experiment
    return RunInfo(
        directory=folder.path,
        experiment=experiment.name,
        objective=experiment.objective.name,
        seed=experiment.seed,
        device=str(assembly.device),
        start_step=step,
        steps=assembly.steps,
        views_per_step=assembly.views_per_step,
        settings=experiment.resolved,
    )


def trained_state(folder: RunFolder) -> State:
    """The state of a finished run; UserError if it is not finished."""
    state = checkpoint.load(folder.checkpoint)
    if state is None:
        raise UserError(f"{folder.path} has no checkpoint.pt; `simssl run` trains it anew")
    if not state["done"]:
        raise UserError(f"{folder.path} is not trained to the end; `simssl run` goes on with it")
    return state


def restore_trained(assembly: Assembly, folder: RunFolder) -> None:
    """Give the objective the weights of a finished run; UserError if it is not finished."""
    _restore_weights(assembly, folder, trained_state(folder))
    assembly.objective.eval()


def _restore_weights(assembly: Assembly, folder: RunFolder, state: State) -> None:
    """Weights and number of threads; RunError if they were made from other data or for other networks."""
    if state["data"] != assembly.data.fingerprint:
        raise RunError(
            f"{folder.path} was trained on other data (fingerprint {state['data']}, not {assembly.data.fingerprint}); "
            "name the folder of that data with --data, or train anew with `simssl run ... --fresh`"
        )
    torch.set_num_threads(state["threads"])
    with checkpoint.fitting(folder.checkpoint):
        assembly.objective.load_state_dict(state["objective"])


class Trainer:
    """The state of a training run, and what one step does to it."""

    def __init__(self, assembly: Assembly, folder: RunFolder) -> None:
        settings = assembly.experiment.training
        self.assembly, self.folder, self.settings = assembly, folder, settings
        self.objective, self.generator, self.device = assembly.objective, assembly.generator, assembly.device
        self.images_NCHW = assembly.data.train.images.to(self.device)
        groups = self.objective.parameter_groups()
        self.optimizer = build_optimizer(settings.optimizer, groups) if assembly.steps else None
        self.window = TermWindow()
        self.step = self.epoch = self.position = 0
        self.order = torch.empty(0, dtype=torch.long, device=self.device)
        self.done = False
        self.seconds = 0.0
        self._clock = self._saved_at = time.perf_counter()

    # --- one step -------------------------------------------------------------------------------------

    def train_step(self) -> None:
        """Draw a batch, descend, and count."""
        assert self.optimizer is not None
        steps = self.assembly.steps
        self.objective.train()
        index_B = self._next_images()
        x_BJCHW = self.assembly.views.batch(self.images_NCHW[index_B], self.objective.views, self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._descend(x_BJCHW, index_B)
        clip_gradient(self.optimizer, self.settings.gradient_clip)
        set_learning_rate(self.optimizer, self.settings.schedule, self.step, steps)
        self.optimizer.step()
        self.step += 1
        self.objective.after_step(torch.full((), self.step / steps, device=self.device))
        self.window.add(self.step, terms)

    def _descend(self, x_BJCHW: Tensor, index_B: Tensor) -> Terms:
        """The terms of the loss, whose gradient every parameter has then."""
        precision = self.settings.precision
        with step_in(precision):
            with networks_in(precision, self.device):
                terms: Terms = self.objective(x_BJCHW, index_B, self.generator)
            check_terms(self.objective, terms)
            torch.stack(list(terms.loss.values())).sum().backward()
        return terms

    def _next_images(self) -> Tensor:
        """The next images of the epoch's order; an incomplete batch is dropped and the order drawn anew."""
        B = self.assembly.images_per_step
        if self.position + B > len(self.order):
            self.order = self._draw_order()
            self.position = 0
            self.epoch += 1
        self.position += B
        return self.order[self.position - B : self.position]

    def _draw_order(self) -> Tensor:
        n = len(self.images_NCHW)
        assert self.optimizer is not None
        self.window.refuse_not_finite(self._where())  # before an objective fits anything to its representations
        weights_N = self.objective.before_epoch(self.epoch, self._encode_all, self.generator)
        check_weights(self.objective, weights_N, n)
        forget(self.optimizer, self.objective.restarted_parameters())
        if weights_N is None:
            return torch.randperm(n, generator=self.generator, device=self.device)
        return torch.multinomial(weights_N, n, replacement=True, generator=self.generator)

    @torch.no_grad()
    def _encode_all(self) -> Tensor:
        self.objective.eval()
        batches = self.assembly.views.plain_batches(self.images_NCHW, self.device)
        z_ND = torch.cat([self.objective.posterior(x_BCHW).mean for x_BCHW in batches])
        self.objective.train()
        return z_ND

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D) of the training images' representations, to sample about."""
        mean_D, covariance_DD = moments(self._encode_all())
        return mean_D.cpu(), covariance_DD.cpu()

    # --- records and checkpoints ----------------------------------------------------------------------

    def log_and_save(self, trackers: Trackers) -> None:
        """At every `log_every` steps: read the terms, tell the trackers, and save if it is time."""
        if self.step % self.settings.log_every and self.step != self.assembly.steps:
            return
        terms = self.window.read(self._where())
        trackers.logged(self.step, terms)
        due = time.perf_counter() - self._saved_at >= self.settings.checkpoint_seconds
        if due and self.step != self.assembly.steps:
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
        checkpoint.save(self.folder.checkpoint, self._state())

    def _state(self) -> State:
        state: State = {
            "digest": self.assembly.experiment.digest,
            "data": self.assembly.data.fingerprint,
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
        return state | {
            "epoch": self.epoch,
            "position": self.position,
            "order": self.order,
            "optimizer": self.optimizer.state_dict() if self.optimizer else None,
            "generator": self.generator.get_state(),
            "random": checkpoint.random_states(self.device),
            "window": self.window.state(),
        }

    def restore(self) -> None:
        """Take up the saved state, if there is one, with the number of threads that it was made with."""
        state = checkpoint.load(self.folder.checkpoint, self.assembly.experiment.digest)
        if state is None:
            return
        _restore_weights(self.assembly, self.folder, state)
        self.step, self.done, self.seconds = state["step"], state["done"], state["seconds"]
        if self.done:
            return
        if state["device"] != self.device.type:
            raise RunError(
                f"{self.folder.path} was begun on {state['device']} and cannot go on exactly on {self.device.type}; "
                f"give --device {state['device']}, or start again with --fresh"
            )
        with checkpoint.fitting(self.folder.checkpoint):
            self._restore_training(state)

    def _restore_training(self, state: State) -> None:
        self.epoch, self.position = state["epoch"], state["position"]
        self.order = state["order"].to(self.device)
        if self.optimizer:
            self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        checkpoint.restore_random_states(state["random"], self.device)
        self.window.restore(state["window"], self.device)

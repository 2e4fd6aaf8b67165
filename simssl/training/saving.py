"""What a checkpoint keeps of a run in training, and how the run takes it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from simssl.blocks.statistics import moments
from simssl.store import checkpoint
from simssl.store.checkpoint import State
from simssl.store.state import check_optimizer, check_within

if TYPE_CHECKING:
    from simssl.training.trainer import Trainer


def state_of(trainer: Trainer) -> State:
    """Return what a checkpoint of the run keeps. On several processes all of them have to call it."""
    state: State = {
        "digest": trainer.built.experiment.digest,
        "data": trainer.built.data.fingerprint,
        "device": trainer.device.type,
        "threads": torch.get_num_threads(),
        "done": trainer.done,
        "seconds": trainer.seconds,
        "step": trainer.step,
        "objective": trainer.objective.state_dict(),
        "num_images": len(trainer.images_NCHW),
        "image_shape": list(trainer.images_NCHW.shape[1:]),
    }
    forms = trainer.built.forms
    if forms:
        state["modalities"] = {name: [form.kind, list(form.shape)] for name, form in forms.items()}
    if trainer.done:
        if trainer.objective.decodes:
            mean_D, covariance_DD = moments(trainer.encode_all())  # a decoder's samples are drawn about them
            state["representations"] = (mean_D.cpu(), covariance_DD.cpu())
        return state
    if trainer.unit is not None:
        state |= {
            "precision": trainer.unit.precision,
            "epoch": trainer.epoch,
            "position": trainer.position,
            "order": trainer.order_NK.squeeze(1),
            "optimizer": trainer.optimizer.state_dict(),
            "generator": trainer.generator.get_state(),
            "random": checkpoint.random_states(trainer.device),
            "window": trainer.window.state(),
        }
        state |= trainer.watch.state()
    return state


def restore_training(trainer: Trainer, state: State) -> None:
    """Take up what an unfinished run has besides. The random states come last, when nothing draws any more."""
    if trainer.unit is None:
        return
    checkpoint.require_precision(state, trainer.folder.path, trainer.unit.precision, trainer.settings.precision)
    check_within("position", state["position"], len(trainer.images_NCHW))
    check_within("order", state["order"], len(trainer.images_NCHW) - 1)
    check_optimizer(state["optimizer"], trainer.optimizer)
    trainer.epoch = state["epoch"]
    trainer.show(state["order"].to(trainer.device).view_as(trainer.order_NK))
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.unit.rates.attach()
    trainer.window.restore(state["window"], trainer.device)
    trainer.watch.restore(state)
    trainer.stand_at(state["position"])
    trainer.generator.set_state(state["generator"])
    checkpoint.restore_random_states(state["random"], trainer.device)

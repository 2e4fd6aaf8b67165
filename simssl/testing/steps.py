"""Work that checks have an objective do: a few steps of training, and encoding."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from simssl.api import Objective, Terms
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import SHAPE
from simssl.testing.outcomes import DoesNotApply
from simssl.training.build import BuiltRun
from simssl.training.capture.launcher import Graphs
from simssl.training.records.trackers import Trackers
from simssl.training.told import Keywords, Told
from simssl.training.trainer import Trainer
from simssl.training.views import BySize


class _Log(Trackers):
    """The records of the terms, kept in memory."""

    def __init__(self) -> None:
        super().__init__({}, print)
        self.records: list[dict[str, float]] = []

    def logged(self, step: int, terms: dict[str, float]) -> None:
        self.records.append(terms)


def train_steps(
    built: BuiltRun,
    folder: Path,
    steps: int,
    save: bool = False,
    graphs: Graphs | None = None,
) -> list[dict[str, float]]:
    """Train up to this step, from the folder's checkpoint if there is one. An objective that is not trained is fitted.

    Returns the records of the terms, one of every five steps.
    """
    folder.mkdir(exist_ok=True)
    trainer = Trainer(built, RunFolder(folder), graphs)
    log = _Log()
    trainer.restore()
    if not built.steps:
        images_NCHW = built.data.train.images
        batches = built.views.plain_batches(images_NCHW, built.device)
        built.objective.fit(batches, built.generator)
    while built.steps and trainer.step < steps:
        trainer.train_step()
        trainer.log_and_save(log)
    trainer.records.tell()
    if save:
        trainer.save()
    return log.records


def keywords(built: BuiltRun, x_BJCHW: Tensor | BySize, index_B: Tensor) -> Keywords:
    """The keywords that `forward` is given for these images beside the views, their index and the generator."""
    return Told(built).of(x_BJCHW, index_B)


def total(terms: Terms) -> Tensor:
    """The loss: the sum of its terms, 0-d."""
    return torch.stack(list(terms.loss.values())).sum()


def encode(objective: Objective, images: int = 4) -> Tensor:
    """The representation (B, latent_dim) of up to four images of noise, in evaluation."""
    generator = torch.Generator().manual_seed(0)
    noise_4CHW = torch.rand(4, *SHAPE, generator=generator)
    x_BCHW = noise_4CHW[:images]
    with torch.no_grad():
        posterior = objective.eval().posterior(x_BCHW)
        return posterior.mean


def untouched(module: nn.Module) -> list[str]:
    """The parameters that require a gradient and have none, or one of zeros."""
    names = []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.grad is None or not parameter.grad.any():
            names.append(name)
    return names


def require_training(objective: type[Objective]) -> None:
    """Raise DoesNotApply for an objective that is not trained by gradient."""
    if not objective.trained:
        raise DoesNotApply("it is not trained by gradient")

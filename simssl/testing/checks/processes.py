"""A check of objectives on several processes: they train the run that one process trains.

Each of the two is a thread here, with a member of a gloo group of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from simssl.api import Objective
from simssl.blocks.distributed import Seat, together
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import batches, tiny_run
from simssl.testing.members import on_members
from simssl.testing.outcomes import Check
from simssl.testing.steps import keywords, require_training
from simssl.training.build import BuiltRun
from simssl.training.trainer import Trainer
from simssl.training.views import BySize, Views

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Most difference, beside the largest number of a tensor or 1, by the precision of the loss."""
EPSILON = 1e-3
"""Adam's epsilon in the check. A gradient that is 0 but for rounding, such as that of a bias before batch norm, is
divided by this, and not by its own size, which would be a step in a direction that rounding chooses."""
ADVICE = (
    "the loss is the average of what the processes return, each for its part of the batch: what compares images with "
    "each other, or remembers them, takes their rows from `gather`, and noise for rows comes from `draw_rows` (both of "
    "simssl.blocks.distributed)"
)


@dataclass
class Steps:
    """What some steps of training did: the terms of each, the gradient of the first, and the state after the last."""

    terms: dict[str, Tensor]
    gradient: dict[str, Tensor]
    state: dict[str, Tensor]

    def parts(self) -> dict[str, tuple[str, dict[str, Tensor]]]:
        return {
            "terms": ("the term '{}'", self.terms),
            "gradient": ("the gradient of {}", self.gradient),
            "state": ("{} after three steps", self.state),
        }


def two_processes_train_as_one(objective: type[Objective], folder: Path) -> None:
    """Terms, gradient, and the state after three steps are on two processes what they are on one. All is computed in
    float64, and compared to 1e-9; to 1e-4 where a term is in float32 all the same."""
    require_training(objective)
    built = _built(objective)
    alone = take_steps(built, folder / "alone")
    allowed = _tolerance(built)
    runs = [_built(objective, rank, 2) for rank in range(2)]
    shared = side_by_side(runs, folder)
    for rank, steps in enumerate(shared):
        differences = largest_differences(alone, steps)
        for part, (words, _) in alone.parts().items():
            name, difference = differences[part]
            among = f"{words.format(name)} differs by {difference:.2g} on process {rank} of two from that on one"
            assert difference <= allowed, f"{among}: {ADVICE}"


def take_steps(built: BuiltRun, folder: Path, count: int = 3) -> Steps:
    """Train so many steps, from the beginning."""
    trainer = Trainer(built, RunFolder(folder))
    for group in trainer.optimizer.param_groups:
        group["eps"] = EPSILON
    terms: dict[str, Tensor] = {}
    gradient: dict[str, Tensor] = {}
    for step in range(count):
        trainer.train_step()
        for name, value in trainer.window.take(trainer.step).means(str(folder)).items():
            terms[f"{name}, step {step + 1}"] = torch.tensor(value, dtype=torch.float64)
        if step == 0:
            gradient = _gradient(built.objective)
    state = {name: value.clone() for name, value in built.objective.state_dict().items()}
    return Steps(terms, gradient, state)


def _gradient(objective: Objective) -> dict[str, Tensor]:
    gradient = {}
    for name, parameter in objective.named_parameters():
        if parameter.grad is not None:
            gradient[name] = parameter.grad.clone()
    return gradient


def largest_differences(one: Steps, other: Steps) -> dict[str, tuple[str, float]]:
    """For terms, gradient and state: where the two differ most, and by how much beside the largest number or 1."""
    largest = {}
    for part, (_, values) in one.parts().items():
        _, others = other.parts()[part]
        differences = {name: _difference(value, others[name]) for name, value in values.items()}
        name = max(differences, key=lambda name: differences[name], default="")
        largest[part] = (name, differences.get(name, 0.0))
    return largest


def _difference(one: Tensor, other: Tensor) -> float:
    if one.numel() == 0:
        return 0.0
    scale = one.double().abs().max().clamp(min=1)
    return float((one.double() - other.double()).abs().max() / scale)


def _tolerance(built: BuiltRun) -> float:
    """The difference that is allowed, by the precision of the terms of the run's next step. The run stays as it is."""
    built = copy.deepcopy(built)
    x_BJCHW, index_B = next(batches(built))
    given = keywords(built, x_BJCHW, index_B)
    terms = built.objective.train()(x_BJCHW, index_B, built.generator, **given)
    is_cut = any(value.dtype == torch.float32 for value in terms.loss.values())
    return TOLERANCES[torch.float32 if is_cut else torch.float64]


def _built(objective: type[Objective], rank: int = 0, size: int = 1) -> BuiltRun:
    """A small run in float64, for a process of so many."""
    with together(Seat(rank, size) if size > 1 else None):
        built = tiny_run(objective)
    built.objective = built.objective.double()
    built.views = ViewsInFloat64(built.views)
    return built


class ViewsInFloat64(Views):
    """Views with all their numbers as they are, in float64."""

    def __init__(self, views: Views) -> None:
        vars(self).update(vars(views))

    def plain(self, images_MCHW: Tensor) -> Tensor:
        return super().plain(images_MCHW).double()

    def of_images(self, images_BJCHW: Tensor, kinds: Sequence[str], generator: torch.Generator) -> Tensor | BySize:
        x_BJCHW = super().of_images(images_BJCHW, kinds, generator)
        if isinstance(x_BJCHW, Tensor):
            return x_BJCHW.double()
        return tuple(of_one_size.double() for of_one_size in x_BJCHW)


def side_by_side(runs: list[BuiltRun], folder: Path) -> list[Steps]:
    """Train the runs as the processes of one group."""
    return on_members(len(runs), lambda rank: take_steps(runs[rank], folder / str(rank)))


CHECKS: tuple[Check, ...] = (two_processes_train_as_one,)

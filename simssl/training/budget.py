"""The work of a training: the images of a step, and the steps of the budget."""

from __future__ import annotations

from simssl.api import Objective, views_of
from simssl.blocks.distributed import world_size
from simssl.errors import UserError
from simssl.experiment.model import Experiment


def work_of(experiment: Experiment, objective: type[Objective], num_images: int) -> tuple[int, int]:
    """Return the images of a step, and the number of steps; (0, 0) for an objective that is not trained."""
    if not objective.trained:
        return 0, 0
    training = experiment.training
    J = len(views_of(objective, experiment.objective.params))
    images_per_step = training.batch_views // J
    if images_per_step > num_images:
        raise UserError(
            f"a step takes {images_per_step} images (batch_views {training.batch_views}, {J} views each) and there are "
            f"{num_images} training images; make training.batch_views smaller"
        )
    _require_equal_shares(images_per_step, J)
    if training.epochs is not None:
        steps_per_epoch = num_images // images_per_step
        return images_per_step, training.epochs * steps_per_epoch
    views_per_step = images_per_step * J
    steps = (training.views or 0) // views_per_step
    if not steps:
        raise UserError(f"training.views is {training.views}, less than the {views_per_step} views of one step")
    return images_per_step, steps


def _require_equal_shares(images_per_step: int, J: int) -> None:
    """Raise UserError if the images of a step do not divide among the processes."""
    processes = world_size()
    if images_per_step % processes == 0:
        return
    below = images_per_step // processes * processes
    nearest = [images * J for images in (below, below + processes) if images]
    raise UserError(
        f"the {images_per_step} images of a step do not divide among {processes} processes; set training.batch_views "
        f"to {' or '.join(map(str, nearest))}"
    )

"""The trial of an objective that is to be trained: on images, on small views, and in a step of one image."""

from __future__ import annotations

import copy

import torch

from simssl.api import Objective
from simssl.blocks.networks import has_batch_norm
from simssl.errors import STOPS, UserError, summary
from simssl.training.contract import check_posterior, frozen
from simssl.training.views import Views


def try_out(objective: Objective, views: Views, backbone: str) -> None:
    """Raise UserError, ValueError or ContractError if the objective cannot be trained on these views."""
    with frozen(objective):
        posterior = objective.posterior(torch.zeros(2, *views.shape))
        check_posterior(objective, posterior, 2)
        _require_small(objective, views, backbone)
    if objective.context.images_per_step == 1:
        _require_values_to_normalise(objective, views)


def _require_small(objective: Objective, views: Views, backbone: str) -> None:
    """Raise UserError if the method takes small views, and its encoder does not. Its own networks are tried."""
    if "small" not in objective.views or views.small is None:
        return
    _, height, width = views.small.shape
    try:
        posterior = objective.posterior(torch.zeros(2, *views.small.shape))
    except STOPS:
        raise
    except BaseException as error:
        largest = f"{views.shape[1]} x {views.shape[2]}"
        raise UserError(
            f"the backbone '{backbone}' takes images of {largest} pixels, and not the small views of {height} x "
            f"{width} ({summary(error)}); choose one that takes both sizes, make them larger, or leave them out"
        ) from error
    check_posterior(objective, posterior, 2)


def _require_values_to_normalise(objective: Objective, views: Views) -> None:
    """Raise ValueError if batch norm would have a single value of a channel in a step of one image.

    A copy of the objective takes such a step. What else is wrong with it is said in training.
    """
    if not has_batch_norm(objective):
        return
    trial = copy.deepcopy(objective).train()
    generator = torch.Generator().manual_seed(0)
    x_1JCHW = views.batch(torch.zeros(1, *views.source, dtype=torch.uint8), objective.views, generator)
    index_1 = torch.zeros(1, dtype=torch.long)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            trial(x_1JCHW, index_1, generator)
    except Exception as error:
        if "more than 1 value per channel" not in str(error):
            return
        raise ValueError(
            "a step has only one image, of which batch norm has one value of a channel, and nothing to normalise it "
            "by; make training.batch_views larger"
        ) from error

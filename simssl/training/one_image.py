"""Steps of one image, in which batch norm may have nothing to normalise."""

from __future__ import annotations

import copy

import torch

from simssl.api import Objective
from simssl.blocks.networks import has_batch_norm
from simssl.training.views import Views


def require_values_to_normalise(objective: Objective, views: Views) -> None:
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

"""Steps of one image, in which batch norm may have nothing to normalise."""

from __future__ import annotations

import copy

import torch

from simssl.api import Objective
from simssl.blocks.networks import has_batch_norm


def require_values_to_normalise(objective: Objective) -> None:
    """Raise ValueError if batch norm would have a single value of a channel in a step of one image.

    A copy of the objective takes such a step. What else is wrong with it is said in training.
    """
    if not has_batch_norm(objective):
        return
    trial = copy.deepcopy(objective).train()
    x_1JCHW = torch.zeros(1, len(objective.views), *objective.context.image_shape)
    index_1 = torch.zeros(1, dtype=torch.long)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            trial(x_1JCHW, index_1, torch.Generator().manual_seed(0))
    except Exception as error:
        if "more than 1 value per channel" not in str(error):
            return
        raise ValueError(
            "a step has only one image, of which batch norm has one value of a channel, and nothing to normalise it "
            "by; make training.batch_views larger"
        ) from error

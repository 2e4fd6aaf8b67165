"""Small views, which not every encoder can take."""

from __future__ import annotations

import torch

from simssl.api import Objective
from simssl.errors import STOPS, UserError, summary
from simssl.training.contract import check_posterior
from simssl.training.views import Views


def require_small(objective: Objective, views: Views, backbone: str) -> None:
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

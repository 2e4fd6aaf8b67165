"""Networks that draw random numbers by themselves, as dropout does: they cannot be trained on several processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from simssl.errors import UserError


@contextmanager
def refuse_own_draws(device: torch.device) -> Iterator[None]:
    """Raise UserError if what is done within draws from torch's default generator of the device.

    It is one for each process, and each would draw for its own rows as if they were the first ones.
    """
    before = _state(device)
    yield
    if not torch.equal(before, _state(device)):
        raise UserError(
            "the networks draw random numbers by themselves (dropout, drop-path, stochastic depth), and each process "
            "would draw others: set their rates to 0, or train on one process"
        )


def _state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()

"""What would make the host wait for a GPU is found on a CPU; what would not is let through."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from simssl.testing.host_sync import refuse_host_synchronisation

X = torch.tensor([3.0, 1.0, 2.0])
COUNTS = torch.tensor([1, 2, 0])


@pytest.mark.parametrize(
    "wait",
    [
        lambda: X.sum().item(),
        lambda: float(X.sum()),
        lambda: bool(X.sum() > 1),
        lambda: X.tolist(),
        lambda: X.numpy(),
        lambda: X.cpu(),
        lambda: torch.equal(X, X),
        lambda: torch.allclose(X, X),
        lambda: torch.linalg.inv(torch.eye(2)),
        lambda: X.nonzero(),
        lambda: X[X > 1],
        lambda: X.clone().__setitem__(X > 1, X[:2]),
        lambda: X.masked_select(X > 1),
        lambda: X.unique(),
        lambda: COUNTS.bincount(),
        lambda: X.repeat_interleave(COUNTS),
        lambda: torch.tensor(3.0),
    ],
)
def test_waiting_is_refused(wait: Callable[[], object]) -> None:
    with pytest.raises(AssertionError), refuse_host_synchronisation():
        wait()
    wait()


@pytest.mark.parametrize(
    "work",
    [
        lambda: X.sort().values.cumsum(0).softmax(0),
        lambda: X[COUNTS],
        lambda: torch.where(X > 1, X, 0.0),
        lambda: X.clone().masked_fill_(X > 1, 0.0),
        lambda: torch.full((), 3.0),
        lambda: X.repeat_interleave(2),
        lambda: X.topk(2).indices,
    ],
)
def test_working_is_not(work: Callable[[], Tensor]) -> None:
    with refuse_host_synchronisation():
        work()

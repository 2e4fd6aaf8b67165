"""What the tests of several objectives share; the builders are in tests/support."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from torch import Tensor

from simssl.training.trainer import Trainer


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the objectives' `.float()` from rounding, so that references can be compared in float64."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)


@pytest.fixture
def power_cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], AbstractContextManager[None]]:
    """While this lasts, training fails after the step of that number."""
    train_step = Trainer.train_step

    @contextmanager
    def at(step: int) -> Iterator[None]:
        def fail(trainer: Trainer) -> None:
            train_step(trainer)
            if trainer.step == step:
                raise RuntimeError("power cut")

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "train_step", fail)
            yield

    return at

"""The conformance suite finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from simssl.api import Terms
from simssl.testing.checks import small_step_along_the_negative_gradient_lowers_the_loss
from simssl.testing.fixtures import TinyObjective


class Uphill(TinyObjective):
    """The right loss with the wrong sign of the gradient."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        terms = super().forward(x_BJCHW, index_B, generator)
        return Terms({name: 2 * value.detach() - value for name, value in terms.loss.items()})


class Forgetful(TinyObjective):
    """A queue of its own that lives outside the buffers, and so cannot be restored."""

    calls = 0

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        self.calls += 1
        terms = super().forward(x_BJCHW, index_B, generator)
        return Terms({name: value * 2**self.calls for name, value in terms.loss.items()})


def test_a_descent_is_found(tmp_path: Path) -> None:
    small_step_along_the_negative_gradient_lowers_the_loss(TinyObjective, tmp_path)


@pytest.mark.parametrize("objective", [Uphill, Forgetful])
def test_what_does_not_descend_is_found(objective: type[TinyObjective], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="times the weights' length change it by"):
        small_step_along_the_negative_gradient_lowers_the_loss(objective, tmp_path)

"""The conformance suite finds what it is there to find."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from simssl.api import Evaluator, Metric, Result, Subject, Terms
from simssl.testing.checks import (
    model_is_left_alone,
    replayed_steps_are_the_eager_ones,
    result_repeats,
    small_step_along_the_negative_gradient_lowers_the_loss,
)
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


def test_a_step_that_cannot_be_captured_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="its step cannot be captured"):
        replayed_steps_are_the_eager_ones(Forgetful, tmp_path)
    declared = type("Declared", (Forgetful,), {"capturable": False})
    replayed_steps_are_the_eager_ones(declared, tmp_path)


class Counting(Evaluator):
    """For methods without a decoder; its numbers do not repeat."""

    needs = frozenset({"no_decoder"})
    runs: ClassVar[list[None]] = []

    def run(self, subject: Subject) -> Result:
        self.runs.append(None)
        return Result({"runs": Metric(len(self.runs), "1")}, protocol={"split": "test"})


class Meddling(Counting):
    """It trains the method that it measures."""

    def run(self, subject: Subject) -> Result:
        subject._objective.encoder[1].bias.add_(1)  # type: ignore[attr-defined]
        return super().run(subject)


def test_evaluators_of_methods_without_a_decoder_are_checked_too(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        result_repeats(Counting, tmp_path)
    model_is_left_alone(Counting, tmp_path)
    with pytest.raises(AssertionError, match="was changed"):
        model_is_left_alone(Meddling, tmp_path)

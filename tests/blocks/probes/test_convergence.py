"""When the training of a probe ends, what is chosen then, and what is said where it ends too early."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from simssl.blocks.probes.classifiers import ParallelClassifiers
from simssl.blocks.probes.convergence import GAIN, LEAST_LOOKS, LEAST_STEPS, RATES, ChosenTraining, choose_training
from simssl.blocks.probes.probe_params import ProbeParams
from simssl.blocks.probes.scores import cross_entropies

Loss = Callable[[int, int, int], float]
"""The cross entropy of a rate, a target and an epoch, by their numbers."""


def chosen(
    loss: Loss, targets: int = 1, most_steps: int = 20_000, steps_per_epoch: int = 100
) -> tuple[list[ChosenTraining], list[int]]:
    """What is chosen of probes whose cross entropies are known, and the epochs that were trained."""
    trained = []

    def train(rates: Sequence[float], epochs: int) -> Iterator[ParallelClassifiers]:
        assert len(rates) == len(RATES) * targets
        assert list(rates[::targets]) == list(RATES)
        for epoch in range(1, epochs + 1):
            trained.append(epoch)
            losses = torch.tensor([loss(p // targets, p % targets, epoch) for p in range(len(rates))])
            other = (losses.exp() - 1).log()  # two logits, of which the first is right and 0
            logits_PNC = torch.stack([torch.zeros_like(other), other], 1)[:, None]
            yield cast("ParallelClassifiers", lambda x_ND, logits=logits_PNC: logits)

    labels_MN = torch.zeros(targets, 1, dtype=torch.long)
    choices = choose_training(
        train, torch.zeros(1, 2), labels_MN, steps_per_epoch=steps_per_epoch, most_steps=most_steps
    )
    return choices, trained


def test_the_least_loss_is_chosen_and_training_goes_on_for_as_long_again() -> None:
    """The third rate falls until epoch 40; the others are worse."""
    choices, trained = chosen(lambda rate, target, epoch: 1 + abs(rate - 2) - 0.02 * min(epoch, 40))
    assert choices == [ChosenTraining(RATES[2], 40, converged=True, accuracy=1.0)]
    assert 78 <= trained[-1] <= 81


def test_nothing_has_converged_before_the_least_number_of_steps() -> None:
    choices, trained = chosen(lambda rate, target, epoch: 1.0)
    assert choices == [ChosenTraining(RATES[0], 1, converged=True, accuracy=0.0)]
    assert trained[-1] == LEAST_STEPS / 100


def test_a_few_looks_at_a_noisy_loss_do_not_end_it() -> None:
    """On many images an epoch lies between two looks. The highest rate is best at once, and a lower one much later."""

    def loss(rate: int, target: int, epoch: int) -> float:
        if rate == len(RATES) - 1:
            return 0.40 if epoch == 2 else 0.42
        return 0.60 - 0.02 * min(epoch, 15) if rate == 0 else 1.0

    choices, trained = chosen(loss, most_steps=100_000, steps_per_epoch=844)
    assert choices == [ChosenTraining(RATES[0], 15, converged=True, accuracy=1.0)]
    assert trained[-1] >= LEAST_LOOKS


def test_what_still_falls_when_the_steps_run_out_has_not_converged() -> None:
    """Of two targets, the first alone; both have as many steps as the slower one."""
    choices, trained = chosen(lambda rate, target, epoch: 9 - 0.01 * (epoch if target else min(epoch, 5)), targets=2)
    assert [choice.converged for choice in choices] == [True, False]
    assert [choice.epochs for choice in choices] == [5, 200]
    assert trained[-1] == 200


def test_a_gain_of_less_than_a_thousandth_keeps_nothing_going() -> None:
    choices, trained = chosen(lambda rate, target, epoch: 1 - 0.9 * GAIN * epoch / 200)
    assert choices[0].converged
    assert trained[-1] == LEAST_STEPS / 100


def test_a_rate_that_runs_away_is_not_chosen() -> None:
    choices, _ = chosen(lambda rate, target, epoch: math.nan if rate == 4 else 1.0 + rate)
    assert choices[0].lr == RATES[0]


def test_cross_entropies_are_torchs_and_do_not_count_missing_labels() -> None:
    logits_MBC = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(0))
    logits_MBC[0, :, 3] = -torch.inf  # a class that the first problem lacks
    labels_MB = torch.randint(0, 3, (2, 30), generator=torch.Generator().manual_seed(1))
    labels_MB[1, ::3] = -1
    reference: list[Tensor] = [
        torch.nn.functional.cross_entropy(logits_BC, labels_B, ignore_index=-1)
        for logits_BC, labels_B in zip(logits_MBC, labels_MB, strict=True)
    ]
    torch.testing.assert_close(cross_entropies(logits_MBC, labels_MB).float(), torch.stack(reference))


# --- the protocols' parameters ---------------------------------------------------------------------------

BEFORE = {"targets": None, "epochs": 200, "batch": 64, "lr": 3e-4, "layer": "representation", "select": "held_out"}
"""What a run of an older simssl has written down, at the defaults of then."""


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"protocol": "paper"}, BEFORE),
        (BEFORE, BEFORE),
        ({"epochs": 50}, BEFORE | {"epochs": 50}),
        ({"lr": 1e-2}, BEFORE | {"lr": 1e-2}),
    ],
)
def test_the_papers_protocol_is_written_as_older_runs_have_it(
    given: dict[str, object], written: dict[str, object]
) -> None:
    params = ProbeParams(**given)
    assert params.protocol == "paper"
    assert params.model_dump(mode="json") == written
    assert ProbeParams(**params.model_dump(mode="json")) == params


def test_the_default_is_a_probe_that_has_converged() -> None:
    params = ProbeParams()
    written = params.model_dump(mode="json")
    assert written["protocol"] == "converged"
    assert written["steps"] == 100_000
    assert {"epochs", "lr"}.isdisjoint(written)
    assert ProbeParams(**written) == params
    assert ProbeParams(steps=500).model_dump()["steps"] == 500


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"protocol": "converged", "epochs": 5}, "'epochs' belongs to 'protocol: paper'"),
        ({"protocol": "converged", "lr": 0.1}, "'lr' belongs to 'protocol: paper'"),
        (
            {"protocol": "paper", "steps": 5},
            "'steps' belongs to 'protocol: converged', and the protocol here is 'paper'",
        ),
        ({"epochs": 5, "steps": 5}, "'steps' belongs to 'protocol: converged', and the protocol here is 'paper'"),
    ],
)
def test_a_parameter_of_the_other_protocol_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ProbeParams(**given)

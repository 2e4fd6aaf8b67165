"""What a training will take is said once, in its first seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from simssl.training.records import estimate as module
from simssl.training.records.estimate import Estimates, duration


class Clock:
    """Time that the test lets pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def train(estimates: Estimates, clock: Clock, method: str, step: float, steps: int = 1000) -> None:
    """A training whose first step takes ten seconds, and each of the others `step`."""
    estimates.begin(method)
    clock.now += 10
    for number in range(1, steps + 1):
        estimates.done(number, steps)
        clock.now += step


def test_it_is_said_once_for_each_method_unless_it_is_another() -> None:
    said: list[str] = []
    clock = Clock()
    estimates = Estimates(said.append, clock)
    train(estimates, clock, "vae", 0.5)
    assert said == ["  about 8 min to go until it is trained"]
    train(estimates, clock, "vae", 0.55)
    assert len(said) == 1
    train(estimates, clock, "simvae", 0.5)
    train(estimates, clock, "vae", 1.0)
    assert said[1:] == ["  about 8 min to go until it is trained", "  about 17 min to go until it is trained"]


def test_a_training_that_is_as_good_as_over_is_not_told_of() -> None:
    said: list[str] = []
    clock = Clock()
    train(Estimates(said.append, clock), clock, "vae", 0.005)
    train(Estimates(said.append, clock), clock, "vae", 0.5, steps=8)
    assert said == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(44.6, "45 s"), (119, "119 s"), (600, "10 min"), (7500, "2 h 5 min"), (90_000, "1 d 1 h")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_run_says_it(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 1e-9)
    monkeypatch.setattr(module, "NEAR", 1e9)
    result = simssl("run", small(grid={"seed": [0, 1]}), "-j", 1)
    assert result.exit_code == 0
    assert result.stderr.count("to go until it is trained") == 1

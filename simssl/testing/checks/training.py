"""Checks of objectives in a run: they are saved, resumed, and captured into a CUDA graph."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from simssl.api import Objective
from simssl.store import checkpoint
from simssl.testing.fixtures import batches, tiny_run
from simssl.testing.host_sync import refuse_host_synchronisation
from simssl.testing.outcomes import Check, DoesNotApply
from simssl.testing.recording import Recorder
from simssl.testing.steps import encode, keywords, require_training, total, train_steps


def state_survives_a_round_trip(objective: type[Objective], folder: Path) -> None:
    """The state, loaded from a checkpoint into another run's objective, gives the same representation."""
    built = tiny_run(objective)
    other = tiny_run(objective, seed=1)
    train_steps(built, folder, 2)
    file = folder / "state.pt"
    saved: dict[str, Any] = {
        "digest": built.experiment.digest,
        "data": built.data.fingerprint,
        "device": "cpu",
        "threads": 1,
        "done": False,
        "seconds": 0.0,
        "step": 2,
        "objective": built.objective.state_dict(),
    }
    checkpoint.save_state(file, saved)
    state = checkpoint.load_state(file)
    assert state is not None
    other.objective.load_state_dict(state["objective"])
    same = torch.equal(encode(built.objective), encode(other.objective))
    assert same, "what the representation depends on is not all in the state: make it a parameter or a buffer"


def resumed_run_is_bit_equal(objective: type[Objective], folder: Path) -> None:
    """A run that is stopped before an epoch's end and taken up by another process ends in the same state, bit for
    bit."""
    require_training(objective)
    whole = tiny_run(objective, images=24)
    broken = tiny_run(objective, images=24)
    resumed = tiny_run(objective, images=24)
    train_steps(whole, folder / "whole", 7)
    train_steps(broken, folder / "broken", 3, save=True)
    train_steps(resumed, folder / "broken", 7)
    _assert_same_state(whole.objective, resumed.objective, "after a resumption: keep what lasts in parameters, buffers")


def host_never_waits_in_a_step(objective: type[Objective], folder: Path) -> None:
    """`forward`, its gradient and `after_step` read no tensor's value on the host, and index by no boolean mask."""
    require_training(objective)
    built = tiny_run(objective)
    x_BJCHW, index_B = next(batches(built))
    given = keywords(built, x_BJCHW, index_B)
    half = torch.tensor(0.5)
    with refuse_host_synchronisation():
        terms = built.objective(x_BJCHW, index_B, built.generator, **given)
        total(terms).backward()
        built.objective.after_step(half)


def replayed_steps_are_the_eager_ones(objective: type[Objective], folder: Path) -> None:
    """The operations of a step, recorded once and repeated as by a CUDA graph, are the next steps, bit for bit, in the
    epochs that follow as well."""
    _require_capturable(objective)
    eager = tiny_run(objective, images=24)
    replayed = tiny_run(objective, images=24)
    recorder = Recorder()
    train_steps(eager, folder / "eager", 10)
    with _captured():
        train_steps(replayed, folder / "replayed", 10, graphs=recorder)
    assert recorder.replays, "no step was replayed"
    _assert_same_state(eager.objective, replayed.objective, "where steps are replayed")


def step_is_captured_on_cuda(objective: type[Objective], folder: Path) -> None:
    """Its step is captured into a CUDA graph, whose replays have the same losses. Only with a CUDA device."""
    _require_capturable(objective)
    if not torch.cuda.is_available():
        raise DoesNotApply("there is no CUDA device here")
    built = tiny_run(objective, images=24, device="cuda")
    with _captured():
        train_steps(built, folder, 10)


def _require_capturable(objective: type[Objective]) -> None:
    require_training(objective)
    if not objective.capturable:
        raise DoesNotApply("it declares `capturable = False`")


@contextmanager
def _captured() -> Iterator[None]:
    """Raise AssertionError, with the reason that the log gives, if a step is not captured."""
    messages: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger = logging.getLogger("simssl")
    handler = Collect()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    marker = "without a CUDA graph: "
    for message in messages:
        if marker in message:
            _, _, reason = message.partition(marker)
            raise AssertionError(f"its step cannot be captured: {reason}; or declare `capturable = False`")


def _assert_same_state(one: Objective, other: Objective, when: str) -> None:
    of_other = other.state_dict()
    for name, value in one.state_dict().items():
        assert torch.equal(value, of_other[name]), f"{name} differs {when}"


CHECKS: tuple[Check, ...] = (
    state_survives_a_round_trip,
    resumed_run_is_bit_equal,
    host_never_waits_in_a_step,
    replayed_steps_are_the_eager_ones,
    step_is_captured_on_cuda,
)

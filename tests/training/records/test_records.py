"""Records are told as soon as they are here, and none is lost: at the end, at a signal, at a kill, and at an error."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from simssl.api import Terms
from simssl.blocks.distributed import Seat, together
from simssl.errors import Interrupted, LostProcessError, RunError
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import TinyObjective, tiny_run
from simssl.testing.host_sync import refuse_host_synchronisation
from simssl.training.records.records import Records
from simssl.training.records.terms import Sums, TermWindow
from simssl.training.records.trackers import Trackers
from simssl.training.stop import Stop
from simssl.training.train import train
from simssl.training.trainer import Trainer


class Log(Trackers):
    """Keeps the records, and notes at which step of the training each was told."""

    def __init__(self, at: Callable[[Log], None] = lambda log: None) -> None:
        super().__init__({}, print)
        self.trainer: Trainer | None = None
        self.records: list[tuple[int, dict[str, float]]] = []
        self.told_at: list[int] = []
        self._at = at

    def logged(self, step: int, terms: dict[str, float]) -> None:
        assert self.trainer is not None
        self.records.append((step, terms))
        self.told_at.append(self.trainer.step)
        self._at(self)

    @property
    def steps(self) -> list[int]:
        return [step for step, _ in self.records]


def new_trainer(folder: Path, log: Log, objective: type[TinyObjective] = TinyObjective, **training: object) -> Trainer:
    """A run of 32 steps with a record every five, that goes on from the folder's checkpoint."""
    folder.mkdir(exist_ok=True)
    built = tiny_run(objective, steps=32)
    changed = built.experiment.training.model_copy(update=training)
    object.__setattr__(built.experiment, "training", changed)
    log.trainer = Trainer(built, RunFolder(folder))
    log.trainer.restore()
    return log.trainer


def trained(folder: Path, **training: object) -> Log:
    log = Log()
    train(new_trainer(folder, log, **training), log, Stop())  # type: ignore[arg-type]
    return log


ALL = [5, 10, 15, 20, 25, 30, 32]

NEVER = 1000


class Copying:
    """Stands in for the event at the end of a copy, which is not reached yet when it is asked so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def query(self) -> bool:
        self.times -= 1
        return self.times < 0

    def synchronize(self) -> None:
        self.times = 0


def let_be_late(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let each record be on its way to the host as from a CUDA device, when it is looked for so many times."""
    so_far = TermWindow.so_far

    def on_its_way(window: TermWindow, step: int) -> Sums:
        return replace(so_far(window, step), copied=Copying(times))  # type: ignore[arg-type]

    monkeypatch.setattr(TermWindow, "so_far", on_its_way)


@pytest.fixture(params=[False, True], ids=["at once", "late"])
def late(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """True if no record is here before the host waits for it."""
    if request.param:
        let_be_late(monkeypatch, NEVER)
    return bool(request.param)


def test_on_a_cpu_a_record_is_told_at_once(tmp_path: Path) -> None:
    log = trained(tmp_path)
    assert log.steps == log.told_at == ALL


def test_a_late_record_is_told_after_the_launch_in_which_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_be_late(monkeypatch, 1)
    log = trained(tmp_path)
    assert log.steps == ALL
    assert log.told_at == [6, 11, 16, 21, 26, 31, 32]


def test_a_record_is_told_when_the_next_one_is_due_at_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At step 16 an epoch ends, where the host waits anyway."""
    let_be_late(monkeypatch, NEVER)
    log = trained(tmp_path)
    assert log.steps == ALL
    assert log.told_at == [10, 15, 16, 25, 30, 32, 32]


def test_several_processes_tell_of_a_late_record_after_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their devices would answer differently, and an error has to come after the same step."""
    let_be_late(monkeypatch, 0)
    _, records = window_and_records(torch.device("cpu"))
    trackers = Plain({}, print)
    with together(Seat(0, 2)):
        records.take(1, trackers)
        records.tell_if_here()
        assert not hasattr(trackers, "told")
        records.tell()
    assert trackers.told == (1, {"loss": 1.0, "a": 1.0})


class Plain(Trackers):
    def logged(self, step: int, terms: dict[str, float]) -> None:
        self.told = (step, terms)


def test_to_take_a_record_the_host_waits_for_nothing() -> None:
    window, records = window_and_records(torch.device("cpu"))
    with refuse_host_synchronisation():
        records.take(1, Trackers({}, print))
    assert window.count == 0


@pytest.mark.cuda
def test_on_cuda_a_record_is_copied_while_the_host_goes_on() -> None:
    device = torch.device("cuda")
    window, records = window_and_records(device)
    trackers = Plain({}, print)
    torch.cuda.set_sync_debug_mode("error")
    try:
        records.take(1, trackers)
        window.add(Terms({"a": torch.full((), 5.0, device=device)}))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    records.tell()
    assert trackers.told == (1, {"loss": 1.0, "a": 1.0})


def window_and_records(device: torch.device) -> tuple[TermWindow, Records]:
    """A window of one step."""
    window = TermWindow()
    window.add(Terms({"a": torch.ones((), device=device)}))
    window.count = 1
    return window, Records(window, lambda: "the run")


def test_a_checkpoint_holds_no_record_that_is_untold(late: bool, tmp_path: Path) -> None:
    """With a save at every record, a run that is killed just after one has told all that it will not record again."""
    log = trained(tmp_path, checkpoint_seconds=0)
    assert log.told_at == [5, 10, 15, 20, 25, 30, 32]


@pytest.mark.parametrize("stop", [4, 5, 7, 10, 16, 20, 31])
def test_a_run_that_goes_on_has_the_records_of_one_that_was_not_stopped(stop: int, late: bool, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    first = Log()
    trainer = new_trainer(tmp_path / "parts", first)
    while trainer.step < stop:
        trainer.train_step()
        trainer.log_and_save(first)
    trainer.save()
    rest = trained(tmp_path / "parts")
    assert first.records + rest.records == whole.records


def test_a_signal_loses_no_record(late: bool, tmp_path: Path) -> None:
    """It comes with the record of step 10, which is told at step 15 if it is late."""
    whole = trained(tmp_path / "whole")

    def send(log: Log) -> None:
        if log.steps[-1] == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    first = Log(send)
    trainer = new_trainer(tmp_path / "parts", first)
    with Stop() as stop, pytest.raises(Interrupted, match=f"is saved after step {15 if late else 10};"):
        train(trainer, first, stop)
    assert first.steps == ([5, 10, 15] if late else [5, 10])
    assert first.records + trained(tmp_path / "parts").records == whole.records


class Failing(TinyObjective):
    """Its first term is infinite at step `bad`, and it raises at step `fails`."""

    bad, fails = 1000, 1000

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        self.steps = getattr(self, "steps", 0) + 1
        if self.steps == self.fails:
            raise ArithmeticError("too much")
        name, *others = (terms := super().forward(x_BJCHW, index_B, generator).loss)
        factor = torch.inf if self.steps == self.bad else 1.0
        return Terms({name: factor * terms[name], **{other: terms[other] for other in others}})


def failed(folder: Path, expected: type[Exception], bad: int = 1000, fails: int = 1000, **training: object) -> Log:
    kind = type("Failing", (Failing,), {"bad": bad, "fails": fails})
    log = Log()
    with pytest.raises(expected) as error:
        train(new_trainer(folder, log, kind, **training), log, Stop())
    if expected is RunError:
        assert f"is not finite at step {bad} of" in str(error.value)
    return log


def test_an_error_loses_no_record(late: bool, tmp_path: Path) -> None:
    assert failed(tmp_path, ArithmeticError, fails=14).steps == [5, 10]


def test_an_error_of_the_device_is_not_hidden_by_its_repetition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(sums: Sums, run: str) -> None:
        raise RuntimeError("CUDA error")

    let_be_late(monkeypatch, NEVER)
    monkeypatch.setattr(Sums, "means", fail)
    failed(tmp_path, ArithmeticError, fails=7)


@pytest.mark.parametrize("bad", [8, 12])
def test_an_error_that_follows_from_a_loss_that_is_not_finite_is_told_as_such(
    bad: int, late: bool, tmp_path: Path
) -> None:
    """The loss is in a record, or in the open window."""
    failed(tmp_path, RunError, bad=bad, fails=14)


@pytest.mark.parametrize(
    ("bad", "at_once", "one_late"),
    [(1, 5, 10), (5, 5, 10), (6, 10, 15), (14, 15, 16), (27, 30, 32), (31, 32, 32), (32, 32, 32)],
)
def test_a_loss_that_is_not_finite_ends_the_run_at_the_next_record(
    bad: int, at_once: int, one_late: int, late: bool, tmp_path: Path
) -> None:
    """It is one that is finite again a step later. All records before it are told."""
    log = failed(tmp_path, RunError, bad=bad)
    assert log.trainer is not None
    assert log.trainer.step == (one_late if late else at_once)
    assert log.steps == [step for step in ALL if step < bad]
    assert not (tmp_path / "checkpoint.pt").exists()


def test_of_several_losses_that_are_not_finite_the_first_is_named(late: bool, tmp_path: Path) -> None:
    class Diverged(Failing):
        bad = 8

        def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
            terms = super().forward(x_BJCHW, index_B, generator)
            type(self).bad = max(self.bad, self.steps + 1)
            return terms

    log = Log()
    trainer = new_trainer(tmp_path, log, Diverged)
    with pytest.raises(RunError, match="is not finite at step 8 of"):
        train(trainer, log, Stop())


class FullDisk(Exception):
    """What comes between a launch and the count of its steps."""


def test_steps_that_are_launched_and_not_counted_are_no_loss_that_is_not_finite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    trainer = new_trainer(tmp_path, log)

    def fail(position: int) -> None:
        if trainer.step == 12:
            raise FullDisk

    monkeypatch.setattr(trainer.pool, "launched", fail)
    with pytest.raises(FullDisk):
        train(trainer, log, Stop())


def test_where_another_process_is_lost_the_host_waits_for_no_exchange_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    trainer = new_trainer(tmp_path, log)

    def lose() -> None:
        raise LostProcessError("gone")

    monkeypatch.setattr(trainer, "train_step", lose)
    monkeypatch.setattr(trainer.records, "require_finite", lambda step: pytest.fail("it waits"))
    with pytest.raises(LostProcessError):
        train(trainer, log, Stop())


@pytest.mark.parametrize("bad", [6, 10, 11])
def test_no_checkpoint_is_made_after_a_loss_that_is_not_finite(bad: int, late: bool, tmp_path: Path) -> None:
    failed(tmp_path, RunError, bad=bad, checkpoint_seconds=0)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 5 * ((bad - 1) // 5)


class StopAt13(Stop):
    """A signal that is asked for after step 13."""

    def asked(self, step: int, last: bool = False) -> int | None:
        return signal.SIGTERM if step == 13 else None


@pytest.mark.parametrize("bad", [9, 12])
def test_a_signal_saves_nothing_of_a_loss_that_is_not_finite(bad: int, late: bool, tmp_path: Path) -> None:
    """The loss is in a record, or in the open window."""
    kind = type("Failing", (Failing,), {"bad": bad})
    log = Log()
    with pytest.raises(RunError, match=f"at step {bad} of"):
        train(new_trainer(tmp_path, log, kind), log, StopAt13())
    assert log.steps == [step for step in (5, 10) if step < bad]
    assert not (tmp_path / "checkpoint.pt").exists()

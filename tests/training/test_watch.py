"""The watch over a training: when it measures, that it disturbs nothing, and what the numbers decide."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from simssl.api import Context, Objective, Terms
from simssl.errors import Interrupted, RunError
from simssl.experiment.model import Choice, Measure, Selector
from simssl.experiment.settings import Moments, Selection
from simssl.params import Params
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import TinyObjective, tiny_run
from simssl.testing.recording import Recorder
from simssl.training.records.estimate import Estimates
from simssl.training.records.trackers import Trackers
from simssl.training.stop import Stop
from simssl.training.train import train
from simssl.training.trainer import Trainer

EVALUATOR = Choice("evaluator", "tiny", Params())


class Disturbed(TinyObjective):
    """Draws from every default generator, has a batch norm, and a part that stays frozen."""

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        self.norm = nn.BatchNorm1d(1)
        self.frozen = nn.BatchNorm1d(1)

    def train(self, mode: bool = True) -> Disturbed:
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        terms = super().forward(x_BJCHW, index_B, generator)
        brightness_B1 = x_BJCHW.flatten(1).mean(1, keepdim=True)
        noise = torch.rand(()) + random.random() + np.random.random()
        assert not self.frozen.training
        extra = noise * (self.norm(brightness_B1) + self.frozen(brightness_B1)).square().mean()
        return Terms({**terms.loss, "extra": extra})


def new_trainer(
    folder: Path,
    objective: type[Objective] = TinyObjective,
    graphs: Recorder | None = None,
    moments: Moments | None = None,
    selection: Selection | None = None,
) -> Trainer:
    """A trainer of 48 steps."""
    folder.mkdir(exist_ok=True)
    built = tiny_run(objective, steps=48)
    if moments:
        object.__setattr__(built.experiment, "measure", Measure(moments, (EVALUATOR,)))
    if selection:
        object.__setattr__(built.experiment, "selection", Selector(selection, EVALUATOR))
    trainer = Trainer(built, RunFolder(folder), graphs)
    trainer.restore()
    return trainer


def trained(
    trainer: Trainer, measure: Callable[[int], float | None] | None = None, stop: Stop | None = None
) -> Trainer:
    train(trainer, Trackers({}, print), stop or Stop(), measure=measure)
    return trainer


def assert_same_weights(one: Trainer, other: Trainer) -> None:
    for name, value in one.objective.state_dict().items():
        assert torch.equal(value, other.objective.state_dict()[name]), name


def test_nothing_is_disturbed(tmp_path: Path) -> None:
    """Whatever the measurement freezes, draws and seeds."""

    def measure(step: int) -> None:
        trainer.objective.eval()
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        trainer.objective.posterior(torch.rand(4, *trainer.built.views.shape))

    random.seed(1)
    np.random.seed(1)
    plain = trained(new_trainer(tmp_path / "plain", Disturbed))
    random.seed(1)
    np.random.seed(1)
    trainer = new_trainer(tmp_path / "measured", Disturbed, moments=Moments(every_steps=5))
    assert_same_weights(trained(trainer, measure), plain)


@pytest.mark.parametrize("graphs", [None, Recorder()], ids=["eager", "captured"])
def test_it_is_measured_after_exactly_these_steps(graphs: Recorder | None, tmp_path: Path) -> None:
    """Captured steps, too, whose launches end there; the weights are those of steps one by one."""
    plain = trained(new_trainer(tmp_path / "plain"))
    trainer = new_trainer(tmp_path / "measured", graphs=graphs, moments=Moments(points=6))
    seen = []

    def measure(step: int) -> None:
        taken = 0 if trainer.unit is None else int(trainer.unit.taken)
        seen.append((step, trainer.step, taken))

    assert_same_weights(trained(trainer, measure), plain)
    assert seen == [(step, step, step) for step in (0, 1, 2, 5, 10, 22, 48)]


def test_a_loss_that_is_not_finite_is_told_before_a_measurement_stumbles_over_it(tmp_path: Path) -> None:
    class Infinite(TinyObjective):
        def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
            terms = super().forward(x_BJCHW, index_B, generator)
            return Terms({name: value / 0 for name, value in terms.loss.items()})

    def measure(step: int) -> None:
        if step:
            raise RunError("the representation of 96 images is not finite")

    with pytest.raises(RunError, match="is not finite at step 1"):
        trained(new_trainer(tmp_path, Infinite, moments=Moments(every_steps=1)), measure)


def test_a_signal_ends_a_measurement_at_once_and_it_is_made_when_the_run_goes_on(tmp_path: Path) -> None:
    plain = trained(new_trainer(tmp_path / "plain"))
    seen = []

    def measure(step: int) -> None:
        seen.append(step)
        if seen == [0, 10, 20]:
            signal.raise_signal(signal.SIGTERM)
            pytest.fail("the measurement goes on")

    moments = Moments(every_steps=10)
    with Stop() as stop, pytest.raises(Interrupted, match="is saved after step 20"):
        trained(new_trainer(tmp_path / "stopped", moments=moments), measure, stop)
    resumed = trained(new_trainer(tmp_path / "stopped", moments=moments), measure)
    assert seen == [0, 10, 20, 20, 30, 40, 48]
    assert_same_weights(resumed, plain)


def test_a_measurement_that_fails_loses_no_step(tmp_path: Path) -> None:
    """The run goes on after the step that is measured, once what fails is mended. Step 0 is not saved."""
    plain = trained(new_trainer(tmp_path / "plain"))
    failing = {0, 20}
    seen = []

    def measure(step: int) -> None:
        seen.append(step)
        if step in failing:
            failing.remove(step)
            raise RunError("evaluator 'tiny' failed")

    moments = Moments(every_steps=10)
    for _ in range(2):
        with pytest.raises(RunError, match="evaluator 'tiny' failed"):
            trained(new_trainer(tmp_path / "failed", moments=moments), measure)
    resumed = trained(new_trainer(tmp_path / "failed", moments=moments), measure)
    assert seen == [0, 0, 10, 20, 20, 30, 40, 48]
    assert_same_weights(resumed, plain)


def test_a_signal_in_the_step_before_comes_before_the_measurement(tmp_path: Path) -> None:
    class Signalled(TinyObjective):
        def after_step(self, progress: Tensor) -> None:
            if round(48 * float(progress)) == 10:
                signal.raise_signal(signal.SIGTERM)

    seen: list[int] = []
    with Stop() as stop, pytest.raises(Interrupted, match="is saved after step 10"):
        trained(new_trainer(tmp_path, Signalled, moments=Moments(every_steps=10)), seen.append, stop)
    assert seen == [0]


def test_a_selection_goes_on_where_it_was(tmp_path: Path) -> None:
    """Stopped after the best measurement, and again while it waits: it ends at the same step, with the same weights."""
    numbers = {10: 1.0, 20: 3.0, 30: 3.0, 40: 2.0, 48: 9.0}
    selection = Selection(every_steps=10, metric="number", patience=2, keep="best")
    whole = trained(new_trainer(tmp_path / "whole", selection=selection), numbers.get)
    assert (whole.step, whole.done) == (40, True)
    best = new_trainer(tmp_path / "best", moments=Moments(every_steps=20))
    at_20: dict[str, Tensor] = {}

    def copy(step: int) -> None:
        if step == 20:
            at_20.update({name: value.clone() for name, value in best.objective.state_dict().items()})

    trained(best, copy)
    for name, value in whole.objective.state_dict().items():
        assert torch.equal(value, at_20[name]), name

    for stop_at in (23, 31, 40):
        trainer = new_trainer(tmp_path / "stopped", selection=selection)
        while trainer.step < stop_at:
            trainer.train_step()
            trainer.log_and_save(Trackers({}, print))
            if trainer.watch.due(trainer.step):
                trainer.watch.measured = trainer.step
                assert trainer.watch.selected is not None
                trainer.watch.selected.take(trainer.step, numbers[trainer.step], trainer.objective)
        trainer.save()
    resumed = trained(new_trainer(tmp_path / "stopped", selection=selection), numbers.get)
    assert (resumed.step, resumed.done) == (40, True)
    assert_same_weights(resumed, whole)


def test_the_estimate_leaves_measurements_out_of_the_speed_and_adds_those_to_come() -> None:
    """A step takes a second, and a measurement a minute."""
    said: list[str] = []
    clock = iter([0.0, 64.0])
    estimates = Estimates(said.append, clock=lambda: next(clock))
    estimates.begin("simclr")
    estimates.done(1, 205, 3)
    estimates.measured(60.0)
    estimates.done(5, 205, 2)
    assert said == ["  about 5 min to go until it is trained"]

"""Captured steps: recorded once and replayed, they are the eager ones; what cannot be captured is told, and eager."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from simssl.api import EncodeAll, Objective, Terms
from simssl.experiment.settings import LARS, SGD, Adam, AdamW, Optimizer, Schedule
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import TinyObjective, tiny_run
from simssl.testing.recording import Recorder
from simssl.training.capture.launcher import LONGEST, Eager, next_launch
from simssl.training.records.trackers import Trackers
from simssl.training.trainer import Trainer

REGISTRY = Registry(builtins_only=True)


class Log(list):  # type: ignore[type-arg]
    def logged(self, step: int, terms: dict[str, float]) -> None:
        self.append((step, terms))


def new_trainer(
    folder: Path, objective: type[Objective] = TinyObjective, graphs: Recorder | None = None, **training: object
) -> Trainer:
    folder.mkdir(exist_ok=True)
    built = tiny_run(objective, steps=48)
    changed = built.experiment.training.model_copy(update=training)
    object.__setattr__(built.experiment, "training", changed)
    trainer = Trainer(built, RunFolder(folder), graphs)
    trainer.restore()
    return trainer


def go_on(trainer: Trainer, steps: int, log: Any = None) -> Trainer:
    log = Trackers({}, print) if log is None else log
    while trainer.step < steps:
        trainer.train_step()
        trainer.log_and_save(log)
    return trainer


def assert_same(one: Trainer, other: Trainer) -> None:
    """Weights, buffers, the optimiser's state, the sums of the terms, counters and generators, bit for bit."""
    for name, value in one.objective.state_dict().items():
        assert torch.equal(value, other.objective.state_dict()[name]), name
    states = [trainer.optimizer.state_dict()["state"] for trainer in (one, other)]
    for key, state in states[0].items():
        for name, value in state.items():
            assert value is None or torch.equal(value, states[1][key][name]), name
    assert torch.equal(one.generator.get_state(), other.generator.get_state())
    assert one.unit is not None
    assert other.unit is not None
    for a, b in zip(one.window.tensors(), other.window.tensors(), strict=True):
        assert torch.equal(a, b)
    assert one.unit.taken == other.unit.taken == one.step == other.step
    assert one.unit.position_M[0] == other.unit.position_M[0] == one.position == other.position


OPTIMIZERS: list[Optimizer] = [
    Adam(lr=0.01),
    AdamW(name="adamw", lr=0.01),
    SGD(name="sgd", lr=0.01, nesterov=True),
    LARS(name="lars", lr=0.5),
]


@pytest.mark.parametrize("settings", OPTIMIZERS, ids=lambda settings: settings.name)
def test_replayed_steps_are_the_eager_ones_bit_for_bit(settings: Optimizer, tmp_path: Path) -> None:
    """Over epochs, with a schedule and a clip, whose numbers are other ones at every step; the log too."""
    training = {"optimizer": settings, "schedule": Schedule(name="cosine", warmup=0.2), "gradient_clip": 0.5}
    logs = Log(), Log()
    eager = go_on(new_trainer(tmp_path / "a", **training), 43, logs[0])
    graphs = Recorder()
    captured = new_trainer(tmp_path / "b", graphs=graphs, **training)
    while captured.step < 43:
        captured.train_step()
        captured.log_and_save(logs[1])  # type: ignore[arg-type]
    go_on(eager, captured.step, logs[0])
    assert_same(eager, captured)
    assert logs[0] == logs[1]
    assert 0 < graphs.replays < 43


def test_a_resumed_run_of_captured_steps_is_the_uninterrupted_one(tmp_path: Path) -> None:
    """Stopped after a launch within an epoch, at its end, and by a run of eager steps."""
    eager = go_on(new_trainer(tmp_path / "eager"), 48)
    for stop in (5, 16, 20):
        folder = tmp_path / f"stop{stop}"
        go_on(new_trainer(folder, graphs=Recorder()), stop).save()
        assert_same(go_on(new_trainer(folder, graphs=Recorder()), 48), eager)
    go_on(new_trainer(tmp_path / "mixed"), 7).save()
    assert_same(go_on(new_trainer(tmp_path / "mixed", graphs=Recorder()), 48), eager)


@pytest.mark.parametrize("graphs", [None, Recorder()], ids=["eager", "captured"])
def test_what_the_device_has_finished_is_counted(graphs: Recorder | None, tmp_path: Path) -> None:
    """Neither warm-up nor capture counts, and a run that goes on does so from where it was."""
    trainer = new_trainer(tmp_path, graphs=graphs)
    assert trainer.finished() == 0
    counts = []
    while trainer.step < 20:
        trainer.train_step()
        counts.append(trainer.finished() - trainer.step)
    assert set(counts) == {0}
    trainer.save()
    assert new_trainer(tmp_path, graphs=graphs).finished() == trainer.step


def test_warm_up_and_capture_leave_no_trace(tmp_path: Path) -> None:
    """Of what a step changes, in a new run and in one that goes on; nor do they in the default generators."""
    for name, start in (("new", 0), ("later", 7)):
        trainer, other = (go_on(new_trainer(tmp_path / f"{name}{i}"), start) for i in range(2))
        if not start:
            for fresh in (trainer, other):
                fresh._begin_epoch()
        trainer.graphs, before = Recorder(), torch.get_rng_state()
        trainer._launch = trainer._launcher(trainer.unit)  # type: ignore[arg-type]
        assert not isinstance(trainer._launch, Eager)
        assert torch.equal(before, torch.get_rng_state())
        assert all(p.grad is None for p in trainer.objective.parameters())
        if start:
            assert_same(trainer, other)
        assert all(
            torch.equal(a, b) for a, b in zip(trainer.objective.parameters(), other.objective.parameters(), strict=True)
        )
        assert torch.equal(trainer.generator.get_state(), other.generator.get_state())
        assert_same(go_on(trainer, 16), go_on(other, 16))


def test_launches_end_at_records_epochs_and_the_end() -> None:
    """For many budgets: no launch is empty or too long, none crosses a boundary, and each boundary ends one."""
    for steps, log_every, per_epoch, longest in itertools.product((1, 7, 100), (1, 5, 30), (1, 6, 40), (1, 4, LONGEST)):
        done, ends = 0, set()
        while done < steps:
            launched = next_launch(done, steps, log_every, per_epoch - done % per_epoch, longest)
            assert 1 <= launched <= longest
            done += launched
            ends.add(done)
        assert done == steps
        assert {s for s in range(1, steps + 1) if s % log_every == 0 or s % per_epoch == 0} <= ends
    assert next_launch(3, 100, 50, 60, 16, left_to_measurement=4) == 4


class Counting(TinyObjective):
    """Weighs its loss by a count that it keeps on the host."""

    steps = 0

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        self.steps += 1
        return Terms(
            {n: t * (1 + self.steps % 2) for n, t in super().forward(x_BJCHW, index_B, generator).loss.items()}
        )


class Listing(TinyObjective):
    """Keeps the count in a list, and a sum in another."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.counts, self.sums = {"steps": [0]}, [torch.zeros(())]

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        self.counts["steps"][0] += 1
        self.sums[0] += 1
        loss = super().forward(x_BJCHW, index_B, generator).loss
        return Terms({name: term * (self.counts["steps"][0] + self.sums[0]) for name, term in loss.items()})


class Hidden(TinyObjective):
    """Has an object to hide a count in."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.hidden = SimpleNamespace(steps=0)


class Hiding(Hidden):
    """The count is hidden in an object."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        self.hidden.steps += 1
        loss = super().forward(x_BJCHW, index_B, generator).loss
        return Terms({name: term * self.hidden.steps for name, term in loss.items()})


class Replacing(TinyObjective):
    """Gives the name of a buffer to a new tensor."""

    mean: Tensor

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        self.mean = 0.9 * self.mean + 0.1 * x_BJCHW.mean()
        return super().forward(x_BJCHW, index_B, generator)


class Waiting(TinyObjective):
    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        assert x_BJCHW.mean().item() > 0
        return super().forward(x_BJCHW, index_B, generator)


class Declaring(TinyObjective):
    capturable = False


class Failing(Recorder):
    """Fails in the middle of a capture, when half of a step is done."""

    def capture(self, call: Callable[[], None]) -> Callable[[], None]:
        call()
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore about it")


@pytest.mark.parametrize(
    ("objective", "graphs", "reason"),
    [
        (Counting, Recorder(), "a step changes 'steps', a number on the host; keep it in a buffer"),
        (Listing, Recorder(), r"a step changes 'counts\['steps'\]\[0\]', a number on the host; keep it in a buffer"),
        (Hiding, Recorder(), r"replayed steps differ from eager ones \(the term '(reconstruction|kl)' is .* and "),
        (Replacing, Recorder(), "a step puts another tensor in the place of 'mean'; it must write into it"),
        (
            Waiting,
            Recorder(),
            r"aten::_local_scalar_dense \(.item\(\), .* makes the host wait",
        ),
        (Declaring, Recorder(), "it declares that it cannot be captured"),
        (TinyObjective, Failing(), "CUDA error: operation not permitted when stream is capturing"),
    ],
)
def test_what_cannot_be_captured_is_said_once_and_trained_eagerly(
    objective: type[Objective], graphs: Recorder, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "simssl")
    trainer, eager = new_trainer(tmp_path / "a", objective, graphs), new_trainer(tmp_path / "b", objective)
    go_on(trainer, 20)
    (message,) = [record.getMessage() for record in caplog.records]
    assert re.search(f"the objective 'tiny' is trained step by step, without a CUDA graph: .*{reason}", message)
    assert "\n" not in message
    if objective is not Hiding:  # an object is not looked into
        assert_same(trainer, go_on(eager, 20))


class Whispering(Hidden):
    """Hides a count, on which only a term a hundred thousand times smaller than the largest depends."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        self.hidden.steps += 1
        loss = super().forward(x_BJCHW, index_B, generator).loss
        largest = torch.stack(list(loss.values())).detach().abs().max()
        return Terms({**loss, "whisper": 1e-5 * largest * (1 + self.hidden.steps % 2)})


def test_each_term_is_compared_by_its_own_size(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "simssl")
    go_on(new_trainer(tmp_path, Whispering, Recorder()), 20)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "replayed steps differ from eager ones (the term 'whisper' is " in message


class Full(Recorder):
    """A device whose memory does not suffice for a graph."""

    def capture(self, call: Callable[[], None]) -> Callable[[], None]:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.15 GiB of which 12.50 "
            "MiB is free. Including non-PyTorch memory, this process has 79.12 GiB memory in use."
        )


def test_a_graph_that_memory_does_not_suffice_for_is_told_as_that(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The steps may fit all the same."""
    caplog.set_level(logging.INFO, "simssl")
    trainer = go_on(new_trainer(tmp_path / "a", graphs=Full()), 20)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message == (
        "the steps of the objective 'tiny' are launched one by one, without a CUDA graph: it takes too much memory "
        "(out of memory: 20.00 MiB were asked for, and 12.50 MiB were free)"
    )
    assert_same(trainer, go_on(new_trainer(tmp_path / "b"), 20))


class Drifting(TinyObjective):
    """Each epoch has another target, which is no buffer."""

    def before_epoch(self, epoch: int, encode_all: EncodeAll, generator: torch.Generator) -> None:
        self.target = torch.full((), float(epoch))
        self.strength = 1.0 + epoch

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        terms = super().forward(x_BJCHW, index_B, generator).loss
        return Terms(
            {**terms, "pull": self.strength * (self.posterior(x_BJCHW[:, 0]).mean - self.target).square().mean()}
        )


class Caching(TinyObjective):
    """The first step of an epoch derives, from what the epoch has written into a buffer, what the others go on with."""

    now: Tensor

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.register_buffer("now", torch.zeros(()))

    def before_epoch(self, epoch: int, encode_all: EncodeAll, generator: torch.Generator) -> None:
        self.now.fill_(epoch)
        self.cache: dict[str, list[Tensor]] = {}

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        if not self.cache:
            self.cache["target"] = [self.now + 1]
        loss = super().forward(x_BJCHW, index_B, generator).loss
        return Terms({**loss, "pull": (self.posterior(x_BJCHW[:, 0]).mean - self.cache["target"][0]).square().mean()})


class Growing(TinyObjective):
    """A number that becomes a tensor."""

    def before_epoch(self, epoch: int, encode_all: EncodeAll, generator: torch.Generator) -> None:
        self.weight = 1.0 if epoch == 0 else torch.full((), 1.0 + epoch // 2) if epoch < 3 else torch.ones(2) * epoch

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        loss = super().forward(x_BJCHW, index_B, generator).loss
        weight = self.weight.sum() if isinstance(self.weight, Tensor) else self.weight
        return Terms({name: term * weight for name, term in loss.items()})


@pytest.mark.parametrize("objective", [Drifting, Caching, Growing])
def test_what_an_epoch_replaces_is_captured_anew(objective: type[TinyObjective], tmp_path: Path) -> None:
    graphs = Recorder()
    captured = go_on(new_trainer(tmp_path / "a", objective, graphs), 40)
    assert_same(captured, go_on(new_trainer(tmp_path / "b", objective), 40))
    assert graphs.replays > 0


TRAINED = sorted(
    plugin.name for plugin in REGISTRY.plugins("objective") if REGISTRY.load("objective", plugin.name).trained
)
cuda = pytest.mark.cuda


@pytest.fixture(autouse=True)
def repeatable_kernels_end_with_the_test() -> Iterator[None]:
    yield
    if torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(False)


def on_cuda(folder: Path, name: str, capturable: bool) -> Trainer:
    import dataclasses

    from simssl.params import Params
    from simssl.testing.fixtures import StubRegistry, TinyDataset, tiny_experiment
    from simssl.training.build import build_run

    plugin = REGISTRY.load("objective", name)
    objective = type(plugin.__name__, (plugin,), {"capturable": capturable})
    experiment = tiny_experiment(objective, steps=128)
    training = experiment.training.model_copy(update={"deterministic": True})
    data = TinyDataset(Params()).load(Path(), lambda *_: None)
    registry: Any = StubRegistry(objective=objective)
    built = build_run(dataclasses.replace(experiment, training=training), registry, data, torch.device("cuda"))
    folder.mkdir(exist_ok=True)
    trainer = Trainer(built, RunFolder(folder))
    trainer.restore()
    return trainer


@cuda
@pytest.mark.parametrize("name", TRAINED)
def test_on_cuda_captured_losses_are_the_eager_ones_over_100_steps(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Within float rounding: with deterministic kernels most are equal bit for bit."""
    caplog.set_level(logging.INFO, "simssl")
    logs = Log(), Log()
    eager = go_on(on_cuda(tmp_path / "a", name, capturable=False), 100, logs[0])
    caplog.clear()
    captured = go_on(on_cuda(tmp_path / "b", name, capturable=True), 100, logs[1])
    assert not isinstance(captured._launch, Eager), caplog.text
    assert [step for step, _ in logs[0]] == [step for step, _ in logs[1]]
    for (_, one), (_, other) in zip(*logs, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)
    assert torch.equal(eager.generator.get_state(), captured.generator.get_state())


@cuda
@pytest.mark.parametrize("name", TRAINED)
def test_on_cuda_a_resumed_run_is_bit_equal_and_capture_leaves_no_trace(name: str, tmp_path: Path) -> None:
    whole = go_on(on_cuda(tmp_path / "whole", name, capturable=True), 40)
    go_on(on_cuda(tmp_path / "parts", name, capturable=True), 20).save()
    resumed = go_on(on_cuda(tmp_path / "parts", name, capturable=True), 40)
    assert_same(whole, resumed)


@cuda
def test_on_cuda_the_count_follows_the_device(tmp_path: Path) -> None:
    trainer = on_cuda(tmp_path, "simvae", capturable=True)
    for _ in range(20):
        trainer.train_step()
        assert trainer.finished() <= trainer.step
    torch.cuda.synchronize()
    assert trainer.finished() == trainer.step


@cuda
def test_on_cuda_a_failed_capture_leaves_generators_that_draw(tmp_path: Path) -> None:
    trainer = on_cuda(tmp_path, "simvae", capturable=True)
    trainer._begin_epoch()
    graphs = trainer.graphs
    assert graphs is not None

    def fail() -> None:
        torch.randn(4, device="cuda", generator=trainer.generator)
        torch.randn(4, device="cuda").sum().item()

    with pytest.raises(RuntimeError):
        graphs.capture(fail)
    torch.randn(4, device="cuda", generator=trainer.generator)
    torch.randn(4, device="cuda")
    nn.Linear(2, 2).cuda()(torch.zeros(1, 2, device="cuda")).sum().backward()

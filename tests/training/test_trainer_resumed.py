"""A run that is killed and started again is the uninterrupted one, bit for bit."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from processes import Process

KILLER = """
    import os, signal

    import simssl
    from simssl.api import Tracker


    class Killer(Tracker):
        '''Kills its own process, as a batch system or a power cut would.'''

        class Params(simssl.Params):
            step: int = -1
            "At the record of this step."
            evaluator: str = ""
            "After this evaluator."
            signum: int = 9
            "The signal."

        def logged(self, step, terms):
            if step == self.params.step:
                os.kill(os.getpid(), self.params.signum)

        def evaluated(self, result, subject):
            if result.evaluator == self.params.evaluator:
                os.kill(os.getpid(), self.params.signum)


    @simssl.hookimpl
    def simssl_tracker():
        return Killer
"""

LONG = {"views": 4800, "batch_views": 60, "log_every": 5, "checkpoint_seconds": 0}
"""80 steps of 20 images; an epoch has 71."""


@pytest.fixture
def process(tmp_path: Path, package: Callable[..., Path]) -> Callable[..., Process]:
    """Starts `simssl run` as a process of its own, with the killer installed."""
    package("killer-dist", "killer_tracker", KILLER, tracker="killer")
    return lambda *words: Process(tmp_path, "run", *words)


def the_run(folder: Path) -> Path:
    (path,) = (path.parent for path in folder.rglob("experiment.yaml"))
    return path


def assert_same_run(continued: Path, expected: Path) -> None:
    assert (continued / "metrics.json").read_bytes() == (expected / "metrics.json").read_bytes()
    ours, reference = (torch.load(run / "checkpoint.pt", weights_only=True) for run in (continued, expected))
    assert ours["done"]
    assert ours["objective"].keys() == reference["objective"].keys()
    for name, value in reference["objective"].items():
        assert torch.equal(ours["objective"][name], value), name


@pytest.fixture
def uninterrupted(simssl: Callable[..., Result], small: Callable[..., Path], tmp_path: Path) -> Path:
    result = simssl("run", small(training=LONG, evaluators=EVALUATORS), "--runs", "whole")
    assert result.exit_code == 0, result.stderr
    return the_run(tmp_path / "whole")


EVALUATORS = [{"name": "knn"}, {"name": "style_probe", "images": 100}, {"name": "reconstruction"}]


def test_killed_at_several_moments(
    uninterrupted: Path, process: Callable[..., Process], small: Callable[..., Path], tmp_path: Path
) -> None:
    """Before the first checkpoint, inside the first epoch and the second, after training, between evaluators."""
    moments: list[dict[str, object]] = [
        {"step": 5},
        {"step": 35},
        {"step": 75},
        {"step": 80},
        {"evaluator": "knn"},
        {"evaluator": "reconstruction"},
    ]
    for moment in moments:
        killer = [{"name": "killer", **moment}]
        code, _ = process(small(training=LONG, evaluators=EVALUATORS, trackers=killer), "--runs", "killed").finish()
        assert code == -signal.SIGKILL, moment
    code, error = process(small(training=LONG, evaluators=EVALUATORS), "--runs", "killed").finish()
    assert code == 0, error
    assert_same_run(the_run(tmp_path / "killed"), uninterrupted)


def test_killed_from_outside_at_any_moment(
    uninterrupted: Path, process: Callable[..., Process], small: Callable[..., Path], tmp_path: Path
) -> None:
    file = small(training=LONG, evaluators=EVALUATORS)
    for wait in (0.0, 0.02, 0.1):
        started = process(file, "--runs", "killed")
        deadline = time.monotonic() + 60
        while not list((tmp_path / "killed").rglob("experiment.yaml")) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(wait)
        started.kill()
        started.finish()
    code, error = process(file, "--runs", "killed").finish()
    assert code == 0, error
    assert_same_run(the_run(tmp_path / "killed"), uninterrupted)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_state_first(
    signum: signal.Signals,
    code: int,
    uninterrupted: Path,
    process: Callable[..., Process],
    small: Callable[..., Path],
    tmp_path: Path,
) -> None:
    training = {**LONG, "checkpoint_seconds": 3600}
    file = small(
        training=training, evaluators=EVALUATORS, trackers=[{"name": "killer", "step": 40, "signum": int(signum)}]
    )
    returned, error = process(file, "--runs", "stopped").finish()
    assert returned == code, error
    assert "is saved after step 40" in error
    assert "the same command (without --fresh) goes on" in error
    code, error = process(small(training=training, evaluators=EVALUATORS), "--runs", "stopped").finish()
    assert code == 0, error
    assert_same_run(the_run(tmp_path / "stopped"), uninterrupted)


def test_a_second_process_waits_for_the_first_and_goes_on_when_it_dies(
    process: Callable[..., Process], small: Callable[..., Path], tmp_path: Path, uninterrupted: Path
) -> None:
    stopping = [{"name": "killer", "step": 40, "signum": int(signal.SIGSTOP)}]
    first = process(small(training=LONG, evaluators=EVALUATORS, trackers=stopping), "--runs", "held")
    _wait_until(lambda: bool(list((tmp_path / "held").rglob("checkpoint.pt"))))
    second = process(small(training=LONG, evaluators=EVALUATORS), "--runs", "held")
    _wait_until(lambda: "waiting for 1 run of other processes" in second.said)
    first.kill()
    first.finish()
    code, error = second.finish()
    assert code == 0, error
    assert f"process {first.pid} on " in error
    assert_same_run(the_run(tmp_path / "held"), uninterrupted)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_second_seed_starts_from_scratch(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    assert simssl("run", small(), "--seed", 0).exit_code == 0
    assert simssl("run", small(), "--seed", 1).exit_code == 0
    first, second = sorted(Path("runs").rglob("checkpoint.pt"))
    assert "seed0" in str(first)
    weights = [torch.load(path, weights_only=True)["objective"] for path in (first, second)]
    assert not any(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_another_runs_checkpoint_is_refused(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    simssl("run", small(), "--seed", 0)
    simssl("run", small(), "--seed", 1)
    first, second = sorted(Path("runs").rglob("checkpoint.pt"))
    second.write_bytes(first.read_bytes())
    (second.parent / "metrics.json").unlink()
    result = simssl("run", small(), "--seed", 1)
    assert result.exit_code == 1
    assert "belongs to another run" in result.stderr


def test_one_more_evaluator_trains_nothing(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    simssl("run", small())
    (checkpoint,) = Path("runs").rglob("checkpoint.pt")
    (features,) = Path("runs").rglob("representation-test.npy")
    before = checkpoint.stat().st_mtime_ns, features.stat().st_mtime_ns
    two = [{"name": "knn"}, {"name": "mlp_probe", "epochs": 2}]
    assert simssl("run", small(evaluators=two)).exit_code == 0
    assert (checkpoint.stat().st_mtime_ns, features.stat().st_mtime_ns) == before
    metrics = json.loads((checkpoint.parent / "metrics.json").read_text())["metrics"]
    assert set(metrics) == {"knn/class/accuracy", "mlp_probe/class/accuracy"}
    again = simssl("run", small(evaluators=two))
    assert "is done already" in again.stderr


def test_an_evaluator_with_other_parameters_measures_again(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    for k in (1, 5):
        assert simssl("run", small(evaluators=[{"name": "knn", "k": k}])).exit_code == 0
        (file,) = Path("runs").rglob("metrics.json")
        entry = json.loads(file.read_text())["metrics"]["knn/class/accuracy"]
        assert entry["protocol"]["selected"] == {"k": k}


def test_a_run_whose_checkpoint_is_gone_starts_clean(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    """Old numbers and features never meet new weights."""
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    (run / "checkpoint.pt").unlink()
    assert "is done already" in simssl("run", small()).stderr
    result = simssl("run", small(evaluators=[{"name": "knn"}, {"name": "style_probe"}]))
    assert result.exit_code == 0
    assert "its checkpoint is gone" in result.stderr
    assert (Path("runs/small/.old") / f"{run.name}-1" / "features").exists()
    assert (run / "features").exists()


def test_another_data_set_under_the_same_name_is_refused(
    simssl: Callable[..., Result], small: Callable[..., Path], tmp_path: Path
) -> None:
    from simssl.plugin.registry import Registry

    mnist = Registry().load("dataset", "mnist")
    for folder in ("one", "two"):
        mnist.example(tmp_path / folder)
    file = tmp_path / "two/MNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    experiment = small(dataset={"name": "mnist"}, evaluators=[{"name": "knn", "k": 1}])
    assert simssl("run", experiment, "--data", "one").exit_code == 0
    (run,) = Path("runs/small").iterdir()
    result = simssl("evaluate", run, "-e", "style_probe", "--data", "two")
    assert result.exit_code == 1
    assert "was trained on other data" in result.stderr
    assert simssl("evaluate", run, "-e", "style_probe", "--data", "one").exit_code == 0


def test_a_run_begun_elsewhere_does_not_go_on_on_another_device(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from simssl.store import checkpoint
    from simssl.training import trainer

    state = trainer.state_of
    monkeypatch.setattr(trainer, "state_of", lambda run: {**state(run), "device": "cuda", "done": False})
    simssl("run", small())
    monkeypatch.setattr(trainer, "state_of", state)
    (run,) = Path("runs/small").iterdir()
    (run / "metrics.json").unlink()
    (run / "features" / "representation-test.npy").unlink()
    result = simssl("run", small())
    assert result.exit_code == 1
    assert "was begun on cuda and cannot go on exactly on cpu; give --device cuda" in result.stderr
    assert checkpoint.load_state(run / "checkpoint.pt") is not None


def test_a_signal_at_the_end_of_training_is_not_lost() -> None:
    from simssl.errors import Interrupted
    from simssl.training.stop import Stop

    def end_of_training(stop: Stop) -> None:
        with stop.deferred():
            signal.raise_signal(signal.SIGTERM)
            assert stop.signum == signal.SIGTERM

    with Stop() as stop, pytest.raises(Interrupted):
        end_of_training(stop)


def test_fresh_starts_again_whatever_is_missing(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    (run / "experiment.yaml").unlink()
    result = simssl("run", small(), "--fresh")
    assert "the old run is moved to" in result.stderr
    assert (run / "experiment.yaml").exists()


def test_fresh_moves_the_old_run_aside(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    simssl("run", small())
    (old,) = Path("runs/small").iterdir()
    (old / "note.txt").write_text("mine")
    assert simssl("run", small(), "--fresh").exit_code == 0
    assert (Path("runs/small/.old") / f"{old.name}-1" / "note.txt").read_text() == "mine"
    assert (old / "metrics.json").exists()
    assert simssl("report", "runs").stdout.count("simvae") == 1

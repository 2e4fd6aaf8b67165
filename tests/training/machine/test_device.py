"""Devices by their names: those there are, and that all of a run is on the one that was asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from simssl.errors import UserError
from simssl.evaluation.trained import load_trained
from simssl.experiment.model import Experiment
from simssl.testing.fixtures import tiny_experiment
from simssl.training.machine.device import choose_device, computing_on
from simssl.training.machine.precision import require_repeatable

Command = Callable[..., Result]
Write = Callable[..., Path]
Devices = Callable[[int], None]


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Devices:
    """Makes torch count so many CUDA devices."""

    def count(number: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)

    return count


@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda"),
        ("cpu", 2, "cpu"),
        ("cuda", 2, "cuda"),
        ("cuda:0", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
        ("cuda:10", 11, "cuda:10"),
    ],
)
def test_the_device_of_a_name(name: str, count: int, expected: str, devices: Devices) -> None:
    devices(count)
    assert choose_device(name) == torch.device(expected)


WRONG = ["gpu", "mps", "CUDA", "cuda:", "cuda:-1", "cuda:01", "cuda:x", "cuda:N", "cuda:1 ", ""]


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_there_is_not(name: str, devices: Devices) -> None:
    devices(2)
    with pytest.raises(UserError, match=f"there is no device '{name}'; there are auto, cpu, cuda and cuda:N"):
        choose_device(name)


@pytest.mark.parametrize(
    ("count", "there"),
    [
        (0, "no CUDA device was found; give --device cpu"),
        (1, "there is no CUDA device 7; there is one, cuda:0"),
        (2, "there is no CUDA device 7; there are 2, cuda:0 to cuda:1"),
    ],
)
def test_a_number_that_is_too_high(count: int, there: str, simssl: Command, small: Write, devices: Devices) -> None:
    file = small()
    assert simssl("run", file).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    devices(count)
    for words in (("run", file), ("evaluate", run), ("encode", run, "digits", "-o", "out.npz")):
        result = simssl(*words, "--device", "cuda:7")
        assert result.exit_code == 2
        assert result.stderr.startswith(there)
        assert len(result.stderr.splitlines()) == 1
    with pytest.raises(UserError, match=there):
        load_trained(run, "cuda:7")


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:x"])
@pytest.mark.parametrize(
    "words",
    [["run", "e.yaml"], ["evaluate", "run"], ["encode", "run", "digits", "-o", "z.npz"]],
    ids=["run", "evaluate", "encode"],
)
def test_a_wrong_name_is_told_without_torch(words: list[str], name: str) -> None:
    code = (
        "import sys\n"
        "from simssl.cli import cli\n"
        f"try: cli({[*words, '--device', name]!r}, prog_name='simssl')\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["2", "False"]
    said = f"Error: Invalid value for '--device': '{name}' is not one of 'auto', 'cpu', 'cuda', 'cuda:N'."
    assert result.stderr.splitlines()[-1] == said


def test_a_run_makes_its_device_the_current_one(
    simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch, devices: Devices
) -> None:
    """This machine need not have the device: the run fails as it turns to it."""
    devices(2)
    chosen = []

    def turn_to(device: torch.device) -> None:
        chosen.append(device)
        raise RuntimeError("as far as this machine goes")

    monkeypatch.setattr(torch.cuda, "device", turn_to)
    result = simssl("run", small(), "--device", "cuda:1")
    assert "failed: RuntimeError: as far as this machine goes" in result.stderr
    assert chosen == [torch.device("cuda", 1)]


def test_a_cpu_is_no_current_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cuda, "device")
    with computing_on(torch.device("cpu")):
        pass


def experiment_that_is(deterministic: bool) -> Experiment:
    experiment = tiny_experiment()
    training = experiment.training.model_copy(update={"deterministic": deterministic})
    object.__setattr__(experiment, "training", training)
    return experiment


@pytest.mark.parametrize("value", [":0:0", ":4096:4", ""])
def test_a_workspace_of_cublas_that_is_not_repeatable_is_told(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", value)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    with pytest.raises(UserError, match=f"CUBLAS_WORKSPACE_CONFIG is '{value}'; on CUDA it has to be :4096:8 or"):
        require_repeatable(experiment_that_is(deterministic=True), cuda)
    require_repeatable(experiment_that_is(deterministic=True), cpu)
    require_repeatable(experiment_that_is(deterministic=False), cuda)


@pytest.mark.parametrize("value", [":4096:8", ":16:8"])
def test_a_workspace_of_cublas_that_is_repeatable(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", value)
    require_repeatable(experiment_that_is(deterministic=True), torch.device("cuda"))


def test_the_workspace_is_looked_at_before_anything_is_trained(
    simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch, devices: Devices
) -> None:
    devices(1)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    file = small(training={"views": 1800, "batch_views": 60, "deterministic": True})
    result = simssl("run", file, "--device", "cuda")
    assert result.exit_code == 2
    (said,) = result.stderr.splitlines()
    assert "CUBLAS_WORKSPACE_CONFIG is ':0:0'" in said
    assert not Path("runs").exists()


@pytest.mark.cuda
@pytest.mark.parametrize("which", ["first", "last"])
def test_on_cuda_every_command_takes_a_number(which: str, simssl: Command, small: Write) -> None:
    number = 0 if which == "first" else torch.cuda.device_count() - 1
    name = f"cuda:{number}"
    before = torch.cuda.current_device()
    result = simssl("run", small(evaluators=[{"name": "knn"}, {"name": "mlp_probe", "epochs": 2}]), "--device", name)
    assert result.exit_code == 0, result.stderr
    assert "without a CUDA graph" not in result.stderr
    (run,) = Path("runs/small").iterdir()
    environment = json.loads((run / "environment.json").read_text())
    assert environment["training"]["device"] == torch.cuda.get_device_name(number)
    assert simssl("evaluate", run, "-e", "reconstruction", "--device", name).exit_code == 0
    assert simssl("encode", run, "digits", "-o", "z.npz", "--device", name).exit_code == 0
    model = load_trained(run, name)
    assert model.device == torch.device(name)
    assert model.sample(2).shape == (2, 1, 8, 8)
    assert torch.cuda.current_device() == before


@pytest.mark.cuda
def test_on_cuda_loading_leaves_the_random_states_of_all_devices(simssl: Command, small: Write) -> None:
    assert simssl("run", small(), "--device", "cpu").exit_code == 0
    (run,) = Path("runs/small").iterdir()
    before = torch.cuda.get_rng_state_all()
    for name in ("cpu", "cuda"):
        load_trained(run, name)
    for one, other in zip(before, torch.cuda.get_rng_state_all(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.cuda
def test_on_cuda_determinism_can_be_asked_for_after_products() -> None:
    """As in a notebook. torch reads the variable at the first product."""
    code = (
        "import simssl, torch\n"
        "x = torch.ones(8, 8, device='cuda')\n"
        "y = x @ x\n"
        "torch.use_deterministic_algorithms(True)\n"
        "print((x @ x).sum().item())\n"
    )
    own = {name: value for name, value in os.environ.items() if name != "CUBLAS_WORKSPACE_CONFIG"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=own)
    assert result.stdout.strip() == "512.0", result.stderr

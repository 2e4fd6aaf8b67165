"""Workers take the CUDA devices in turns, and the process above them opens none."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from click.testing import Result

from simssl.launch import jobs as jobs_module
from simssl.launch.devices import devices_to_share
from simssl.launch.worker import Setup

Command = Callable[..., Result]
Write = Callable[..., Path]

PLUGIN = """
    import os

    import simssl
    from simssl.api import Tracker


    class Telling(Tracker):
        '''Prints the devices that its process may see.'''

        def started(self, run):
            print("sees", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)


    @simssl.hookimpl
    def simssl_tracker():
        return Telling
"""


@pytest.fixture
def telling(tmp_path: Path) -> Path:
    file = tmp_path / "telling.py"
    file.write_text(textwrap.dedent(PLUGIN))
    return file


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes torch count two devices in this process. Whatever would open one fails."""

    def refuse(*arguments: object, **settings: object) -> NoReturn:
        raise AssertionError("a device is opened in the process above the workers")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("init", "_lazy_init", "get_device_capability", "get_device_properties", "current_device", "device"):
        monkeypatch.setattr(torch.cuda, name, refuse)


@pytest.mark.usefixtures("two_devices")
def test_workers_take_the_devices_in_turns(
    simssl: Command, small: Write, telling: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The devices have names that no machine has, so that the workers find none and compute on the CPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa, GPU-bb")
    training = {"views": 1800, "batch_views": 60, "precision": "tf32"}
    file = small(training=training, trackers=[{"name": "telling"}], grid={"seed": [0, 1, 2]})
    result = simssl("run", file, "--plugin", telling, "--jobs", 3)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("3 runs at a time on 2 devices, with ")
    seen = re.findall(r"^\[(\d)/3\].*: sees (.*)$", result.stderr, re.M)
    assert sorted(seen) == [("1", "GPU-aa"), ("2", "GPU-bb"), ("3", "GPU-aa")]
    assert result.stderr.count("training.precision is tf32, which CUDA alone has") == 1


@pytest.mark.usefixtures("two_devices")
def test_on_a_cpu_the_devices_are_left_alone(
    simssl: Command, small: Write, telling: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa, GPU-bb")
    file = small(trackers=[{"name": "telling"}], grid={"seed": [0, 1]})
    result = simssl("run", file, "--plugin", telling, "--jobs", 2, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("2 runs at a time, with ")
    assert result.stderr.count("sees GPU-aa, GPU-bb\n") == 2


@pytest.mark.usefixtures("two_devices")
@pytest.mark.parametrize(
    ("name", "visible", "shared"),
    [
        ("auto", None, ("0", "1")),
        ("cuda", None, ("0", "1")),
        ("cuda", "3,5", ("3", "5")),
        ("cuda", "5,3,-1,7", ("5", "3")),
        ("cuda", "GPU-aa, GPU-bb", ("GPU-aa", "GPU-bb")),
        ("cuda", "MIG-aa,MIG-bb,MIG-cc", ("MIG-aa", "MIG-bb", "MIG-cc")),
        ("cuda", "3", ()),
        ("cuda:1", None, ()),
        ("cpu", None, ()),
    ],
)
def test_devices_are_named_as_they_were(
    name: str, visible: str | None, shared: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices_to_share(name) == shared


class Worker:
    """A worker without a process."""

    def __init__(self, setup: Setup, say: object) -> None:
        self.setup = setup
        self.busy = True
        self.alive = True


@pytest.mark.parametrize("dying", [0, 1, 2])
def test_the_worker_in_place_of_a_dead_one_has_its_device(dying: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "Job", Worker)
    setup = Setup(False, (), Path("runs"), Path("data"), "auto", 1)
    team: list[Any] = []

    def next_device() -> str | None:
        job = jobs_module._free(team, 3, setup, ("a", "b"), print)
        assert job is not None
        return job.setup.visible

    assert [next_device() for _ in range(3)] == ["a", "b", "a"]
    dead = team[dying]
    dead.busy = dead.alive = False
    assert next_device() == dead.setup.visible
    assert dead not in team


def test_a_worker_has_its_device_before_torch_is_loaded() -> None:
    code = "import sys, simssl.launch.worker; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_on_cuda_workers_compute_on_the_devices(name: str, simssl: Command, small: Write) -> None:
    result = simssl("run", small(grid={"seed": [0, 1]}), "--jobs", 2, "--device", name)
    assert result.exit_code == 0, result.stderr
    several = torch.cuda.device_count() > 1 and name != "cuda:0"
    assert ("runs at a time on 2 devices" in result.stderr) == several
    environments = [json.loads(file.read_text()) for file in Path("runs").rglob("environment.json")]
    assert len(environments) == 2
    names = {torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())}
    assert {environment["training"]["device"] for environment in environments} <= names

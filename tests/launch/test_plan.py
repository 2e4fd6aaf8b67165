"""Runs that do not fill the machine go side by side by default, and their threads follow from file and cores alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from click.testing import Result

from simssl import errors
from simssl.errors import free_memory
from simssl.launch import plan as module
from simssl.launch.plan import Plan, Size, planned

Command = Callable[..., Result]
Write = Callable[..., Path]

SMALL = Size(steps=1000, operations=5e8, data_bytes=10**6)
LARGE = Size(steps=1000, operations=1e11, data_bytes=10**6)
SHORT = Size(steps=10, operations=5e8, data_bytes=10**6)
UNTRAINED = Size(steps=0, operations=0, data_bytes=10**6)


@pytest.mark.parametrize(
    ("sizes", "threads", "plan"),
    [
        pytest.param([SMALL] * 12, 2, Plan(2, 1), id="small"),
        pytest.param([SMALL] * 12, 64, Plan(12, 5), id="more cores than runs"),
        pytest.param([SMALL, UNTRAINED], 2, Plan(2, 1), id="one is not trained"),
        pytest.param([SMALL] * 12, 1, Plan(1, 1), id="one core"),
        pytest.param([LARGE] * 3, 2, Plan(1, 2), id="large"),
        pytest.param([SMALL, LARGE], 2, Plan(1, 2), id="one is large"),
        pytest.param([LARGE] * 3, 128, Plan(2, 64), id="large, and many cores"),
        pytest.param([SHORT] * 3, 2, Plan(1, 2), id="short"),
        pytest.param([UNTRAINED] * 3, 2, Plan(1, 2), id="none is trained"),
        pytest.param([SMALL], 2, Plan(1, 2), id="a single run"),
    ],
)
def test_what_fits_goes_side_by_side(sizes: list[Size], threads: int, plan: Plan) -> None:
    assert planned(sizes, threads, math.inf) == plan


def test_little_memory_lets_fewer_go_at_a_time_with_the_threads_that_they_would_have_had() -> None:
    large_data = Size(steps=1000, operations=5e8, data_bytes=3 * 10**9)
    assert planned([large_data] * 8, 8, 9e9) == Plan(2, 1)
    assert planned([large_data] * 8, 8, 1e9) == Plan(1, 1)


def test_free_memory_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(errors, "MEMORY", tmp_path / "meminfo")
    assert free_memory() == math.inf
    errors.MEMORY.write_text("MemTotal:  24684536 kB\nMemAvailable:   1000 kB\n")
    assert free_memory() == 1_024_000


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def records(runs: str) -> list[tuple[int, int]]:
    found = []
    for file in sorted(Path(runs).rglob("environment.json")):
        part = json.loads(file.read_text())["training"]
        found.append((part["jobs"], part["threads"]))
    return found


@pytest.mark.usefixtures("two_threads")
def test_it_is_the_default_and_does_not_depend_on_what_is_done(
    simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = small(grid={"seed": [0, 1]})
    assert simssl("run", file).exit_code == 0
    assert records("runs") == [(1, 2), (1, 2)], "so short runs are not worth workers"

    monkeypatch.setattr(module, "SHORT", 0)
    assert simssl("run", file, "--seed", 0, "--runs", "two", "-j", 1).exit_code == 0
    result = simssl("run", file, "--runs", "two")
    assert result.exit_code == 0
    assert "2 runs at a time, with 1 thread each" in result.stderr
    assert records("two") == [(1, 2), (2, 1)]


def test_the_record_says_how_openmp_waited(simssl: Command, small: Write) -> None:
    assert simssl("run", small()).exit_code == 0
    (file,) = Path("runs").rglob("environment.json")
    parts = json.loads(file.read_text())
    for part in ("training", "measurement"):
        assert parts[part]["openmp"].keys() == {"spins", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
        assert parts[part]["jobs"] == 1
    assert parts["training"]["times"]["beside_others"] >= 0

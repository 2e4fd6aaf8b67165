"""OpenMP's threads spin as usual while the cores are free, and hardly while they have other work, too."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from click.testing import Result

from simssl.blocks.openmp import openmp
from simssl.evaluation.trained import load_trained
from simssl.training.machine import spinning as module
from simssl.training.machine.spinning import Spinning, considerate_threads, waited

CPU = torch.device("cpu")


class Library:
    """Takes note of the moments of short spins."""

    def __init__(self) -> None:
        self.short = 0
        self.now = threading.Event()

    @contextmanager
    def short_spins(self) -> Iterator[None]:
        self.short += 1
        self.now.set()
        yield
        self.now.clear()


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """While it is set, others use the cores: each thread waits half of the time."""
    event = threading.Event()

    def waiting() -> float:
        return time.perf_counter() / 2 if event.is_set() else 0.0

    monkeypatch.setattr(module, "waited", waiting)
    monkeypatch.setattr(Spinning, "_others", False)
    monkeypatch.setattr(module, "SECONDS", 0.01)
    monkeypatch.setattr(module, "SHORTEST", 0.02)
    return event


def until(condition: object, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.005)
    return False


def test_alone_the_threads_spin_as_usual(others: threading.Event) -> None:
    library = Library()
    spinning = Spinning(library)  # type: ignore[arg-type]
    spinning.begin()
    time.sleep(0.1)
    spinning.end()
    assert library.short == 0
    assert spinning.short_seconds == 0


def test_beside_others_they_hardly_spin_until_the_others_are_gone(others: threading.Event) -> None:
    library = Library()
    spinning = Spinning(library)  # type: ignore[arg-type]
    spinning.begin()
    others.set()
    assert until(library.now.is_set)
    time.sleep(0.2)
    assert library.short == 1, "it is not tried while the others are there"
    others.clear()
    assert until(lambda: not library.now.is_set())
    time.sleep(0.1)
    assert library.short == 1
    spinning.end()
    assert spinning.short_seconds >= 0.2


class Provoking(Library):
    """Others are there as soon as the threads spin as usual."""

    def __init__(self, others: threading.Event) -> None:
        super().__init__()
        self.others = others

    @contextmanager
    def short_spins(self) -> Iterator[None]:
        self.short += 1
        self.others.clear()
        yield
        self.others.set()


def test_it_is_tried_less_and_less_where_others_come_back(others: threading.Event) -> None:
    """After .02, .04, .08, .16 and .32 seconds, and not forty times."""
    library = Provoking(others)
    spinning = Spinning(library)  # type: ignore[arg-type]
    others.set()
    spinning.begin()
    time.sleep(0.8)
    spinning.end()
    assert 3 <= library.short <= 6


def test_the_next_begins_as_the_last_one_ended(others: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    first, second, third = (Spinning(library) for _ in range(3))  # type: ignore[arg-type]
    others.set()
    first.begin()
    assert until(library.now.is_set)
    first.end()
    monkeypatch.setattr(module, "SECONDS", 0.5)
    second.begin()
    assert until(library.now.is_set, 0.3), "before anything is measured"
    others.clear()
    assert until(lambda: not library.now.is_set())
    second.end()
    third.begin()
    third.end()
    assert library.short == 2


def test_one_watches_at_a_time() -> None:
    with considerate_threads(CPU), considerate_threads(CPU):
        watching = [thread for thread in threading.enumerate() if "_watch" in thread.name]
        assert len(watching) <= 1
    with considerate_threads(CPU):
        pass
    assert not [thread for thread in threading.enumerate() if "_watch" in thread.name]


def test_where_the_system_does_not_say_it_nothing_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "TASKS", tmp_path / "none")
    assert waited() is None
    assert module.policy()["spins"] == "as usual"
    with considerate_threads(CPU) as spinning:
        assert not [thread for thread in threading.enumerate() if "_watch" in thread.name]
    assert spinning.short_seconds == 0


COMPETING = """
import os, time
from simssl.training.machine.spinning import waited
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
child = os.fork()
end = time.monotonic() + 0.5
before = waited()
while time.monotonic() < end:
    pass
if child == 0:
    os._exit(0)
print(waited() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it is read from Linux")
def test_two_processes_on_one_core_wait_for_it() -> None:
    """For half of the half second, or for more if others use the core, too."""
    command = [sys.executable, "-c", COMPETING]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert float(printed) > 0.1


def test_each_command_watches_and_so_does_a_loaded_model(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Spinning] = []
    monkeypatch.setattr(Spinning, "begin", lambda self: begun.append(self))
    assert simssl("run", small()).exit_code == 0
    (run,) = Path("runs").rglob("checkpoint.pt")
    assert simssl("evaluate", run.parent, "-e", "collapse").exit_code == 0
    assert simssl("encode", run.parent, "digits", "-o", "digits.npz").exit_code == 0
    assert len(begun) == 3
    model = load_trained(run.parent)
    z_ND = model.encode(torch.zeros(2, 1, 8, 8)).mean
    model.decode(z_ND)
    assert len(begun) == 5
    assert all(spinning._library is openmp() for spinning in begun)

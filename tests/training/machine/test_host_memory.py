"""Freed memory stays with the process while it trains, and goes back to the kernel after it."""

from __future__ import annotations

import ctypes
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from simssl.api import Terms
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import TinyObjective, tiny_run
from simssl.training.machine.host_memory import HostMemory
from simssl.training.records.trackers import Trackers
from simssl.training.stop import Stop
from simssl.training.train import train
from simssl.training.trainer import Trainer

PAGES = 40 * 2**20 // resource.getpagesize()
"""Of a tensor larger than glibc keeps by itself."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="for Linux with glibc"
)


class Noting(TinyObjective):
    """Notes its steps."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        self.events.append("step")
        return super().forward(x_BJCHW, index_B, generator)


@pytest.fixture
def memory() -> Iterator[HostMemory]:
    memory = HostMemory(torch.device("cpu"))
    yield memory
    memory.give_back()


STEPS = """
import resource, sys

import torch

from simssl.training.machine.host_memory import HostMemory

memory = HostMemory(torch.device("cpu"))
if "keep" in sys.argv:
    memory.keep()
for step in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    activations = [torch.ones(10 * 2**20) for _ in range(3)]
    del activations
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Prints how many pages the kernel gives in each of twelve steps, for three tensors of 40 MiB that are freed again."""


def pages_of_steps(*words: str) -> list[int]:
    """In a process of its own, whose heap nothing else has used."""
    command = [sys.executable, "-c", STEPS, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return [int(line) for line in done.stdout.split()]


def pages_for(size: int) -> int:
    """Pages that the kernel gave for a tensor of `size` times 40 MiB, which is freed again."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(size * 10 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_large_tensors_take_the_place_of_freed_ones() -> None:
    assert min(pages_of_steps()) > 2.9 * PAGES
    assert pages_of_steps("keep")[-1] < PAGES / 2  # the first few leave holes that an aligned tensor misses


def test_what_is_kept_goes_back_afterwards(memory: HostMemory) -> None:
    memory.keep()
    pages_for(2)
    kept = resident()
    memory.give_back()
    assert kept - resident() > 1.5 * PAGES


def test_a_run_keeps_memory_between_its_steps_and_no_longer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    events: list[str] = []
    monkeypatch.setattr(HostMemory, "keep", lambda memory: events.append("keep"))
    monkeypatch.setattr(HostMemory, "give_back", lambda memory: events.append("give back"))
    built = tiny_run(Noting, steps=1)
    built.objective.events = events
    train(Trainer(built, RunFolder(tmp_path)), Trackers({}, print), Stop())
    assert events == ["step", "keep"] * built.steps + ["give back"]


class Failing(TinyObjective):
    """Has no loss."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        raise ArithmeticError


def test_a_run_that_fails_gives_back_what_it_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    events: list[str] = []
    monkeypatch.setattr(HostMemory, "give_back", lambda memory: events.append("give back"))
    with pytest.raises(ArithmeticError):
        train(Trainer(tiny_run(Failing), RunFolder(tmp_path)), Trackers({}, print), Stop())
    assert events == ["give back"]


def test_a_run_that_is_not_trained_on_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that is done, and measured anew."""
    changes = []
    monkeypatch.setattr(HostMemory, "_set", lambda self, **sizes: changes.append(sizes))
    trainer = Trainer(tiny_run(TinyObjective), RunFolder(tmp_path))
    assert not changes
    trainer.train_step()
    trainer.release()
    assert len(changes) == 3

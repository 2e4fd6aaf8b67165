"""Freed memory is kept: a process that does the same again asks the system for no more pages."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

COUNT = """
import resource
import torch
from simssl.training.memory import keep_freed_memory

if {keep}:
    keep_freed_memory()
def step():
    return [torch.ones(1500, 1500) for _ in range(3)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_a_step_takes_the_pages_of_the_one_before() -> None:
    def faults(keep: bool) -> int:
        return int(subprocess.check_output([sys.executable, "-c", COUNT.format(keep=keep)]))

    assert faults(keep=True) < 500 < faults(keep=False)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from simssl.training import memory

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    memory.keep_freed_memory()

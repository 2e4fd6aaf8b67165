"""Checkpoints are whole or not there, and a damaged one is named and left alone."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from simssl.errors import RunError
from simssl.store import checkpoint, folder

STATE = {
    "digest": "d",
    "data": "f",
    "device": "cpu",
    "threads": 1,
    "done": False,
    "seconds": 1.0,
    "step": 1,
    "objective": {},
}


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "checkpoint.pt"
    checkpoint.save_state(file, STATE)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder.os, "fsync", full)
    with pytest.raises(RunError, match=r"No space left on device.*the same command again"):
        checkpoint.save_state(file, {**STATE, "step": 2})
    assert checkpoint.load_state(file) == STATE
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def _truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _one_bit_flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _empty(content: bytes) -> bytes:
    return b""


def _incomplete(content: bytes) -> bytes:
    buffer = io.BytesIO()
    torch.save({"digest": "d"}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("damage", [_truncated, _one_bit_flipped, _empty, _incomplete])
def test_a_damaged_checkpoint_is_named_and_kept(
    damage: Callable[[bytes], bytes], simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    simssl("run", small())
    (file,) = Path("runs").rglob("checkpoint.pt")
    (file.parent / "metrics.json").unlink()
    record = (file.parent / "environment.json").read_bytes()
    damaged = damage(file.read_bytes())
    file.write_bytes(damaged)
    result = simssl("run", small(trackers=[{"name": "console"}, {"name": "tensorboard"}]))
    assert result.exit_code == 1
    (message,) = (line for line in result.stderr.splitlines() if line.startswith("  "))
    assert message.startswith(f"  failed: the checkpoint {file} is damaged")
    assert "--fresh" in message
    assert file.read_bytes() == damaged
    assert (file.parent / "environment.json").read_bytes() == record
    assert simssl("run", small(), "--fresh").exit_code == 0


def test_checkpoints_hold_no_code(simssl: Callable[..., Result], small: Callable[..., Path], tmp_path: Path) -> None:
    import os
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path}/pwned",)

    simssl("run", small())
    (file,) = Path("runs").rglob("checkpoint.pt")
    torch.save({"digest": Evil()}, file, pickle_module=pickle)
    (file.parent / "metrics.json").unlink()
    assert simssl("run", small()).exit_code == 1
    assert not (tmp_path / "pwned").exists()


def test_default_generators_are_restored() -> None:
    import random

    import numpy as np

    def draw() -> list[float]:
        return [random.gauss(0, 1), float(np.random.normal()), torch.randn(()).item()]

    draw()
    cpu = torch.device("cpu")
    state = checkpoint.random_states(cpu)
    first = draw()
    checkpoint.restore_random_states(state, cpu)
    assert draw() == first

"""A command goes on when nobody listens: its streams are closed, the reader of a pipe or the terminal is gone."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from processes import FORK, command_on

Write = Callable[..., Path]

TRAINING = {"views": 1800, "batch_views": 60, "log_every": 1}


def exit_code(
    folder: Path, *words: object, closed: Sequence[int] = (), stream: str = os.devnull, reader: int | None = None
) -> int | None:
    """The command's exit code; `reader` is the other end of its stream, closed when something has come."""
    process = FORK.Process(target=command_on, args=(stream, closed, folder, [str(word) for word in words]))
    process.start()
    if reader is not None:
        while not os.read(reader, 1):  # nobody has opened the other end yet
            time.sleep(0.01)
        os.close(reader)
    process.join(60)
    return process.exitcode


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_a_command_with_closed_streams_ends_well(closed: Sequence[int], small: Write, tmp_path: Path) -> None:
    assert exit_code(tmp_path, "run", small(trackers=[{"name": "console"}]), closed=closed) == 0
    assert len(list(tmp_path.glob("runs/small/*/metrics.json"))) == 1
    assert exit_code(tmp_path, "report", "runs", closed=closed) == 0


def test_what_is_opened_does_not_take_the_place_of_a_closed_stream(small: Write, tmp_path: Path) -> None:
    """A checkpoint that were descriptor 2 would have the progress written into it."""
    exit_code(tmp_path, "run", small(trackers=[{"name": "console"}]), closed=(0, 1, 2))
    exit_code(tmp_path, "run", small("other.yaml", name="other", trackers=[{"name": "console"}]))
    (closed,), (opened,) = (list(tmp_path.glob(f"runs/{name}/*/metrics.json")) for name in ("small", "other"))
    assert closed.read_text() == opened.read_text().replace('"other"', '"small"')


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_a_command_whose_reader_goes_ends_well(kind: str, small: Write, tmp_path: Path) -> None:
    if kind == "terminal":
        reader, other = pty.openpty()
        stream = os.ttyname(other)
    else:
        stream = str(tmp_path / "pipe")
        os.mkfifo(stream)
        reader = os.open(stream, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(reader, True)
    file = small(training=TRAINING, trackers=[{"name": "console"}], grid={"seed": [0, 1]})
    assert exit_code(tmp_path, "run", file, stream=stream, reader=reader) == 0
    assert len(list(tmp_path.glob("runs/small/*/metrics.json"))) == 2


def test_workers_have_streams_where_the_command_has_none(small: Write, tmp_path: Path) -> None:
    """In a shell, where Python itself finds the streams closed."""
    small(grid={"seed": [0, 1]})
    shell = f"{sys.executable} -m simssl run small.yaml -j 2 <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", shell], cwd=tmp_path, timeout=120).returncode == 0
    assert len(list(tmp_path.glob("runs/small/*/metrics.json"))) == 2


@pytest.mark.parametrize("words", [("plugins",), ("--help",)])
def test_a_table_that_a_full_disk_does_not_take_is_an_error(words: Sequence[str]) -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "simssl", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 1
    assert result.stderr == "standard output cannot be written (No space left on device)\n"


def test_a_log_that_a_full_disk_does_not_take_stops_no_run(small: Write, tmp_path: Path) -> None:
    file = small(trackers=[{"name": "console"}])
    assert exit_code(tmp_path, "run", file, closed=(1,), stream="/dev/full") == 0

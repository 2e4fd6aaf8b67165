"""What the parts share: their settings, the rows that they write, and the time that they have.

A row says what was measured, and its value with the unit. The standard output is for rows alone: what else is printed,
also by processes that a part starts, goes to the standard error.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO

import torch

_rows: TextIO = sys.stdout


@dataclass(frozen=True)
class Settings:
    """What a part is to do: on which device, in small sizes or not, where MNIST lies, and until when."""

    device: torch.device
    tiny: bool
    data: Path
    ends: float

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.ends - time.monotonic()

    @property
    def on_cuda(self) -> bool:
        return self.device.type == "cuda"


def begin(words: Sequence[str] | None = None) -> Settings:
    """Read the options of the command line. A part of a device that is not there ends here, with the reason.

    From here on the standard output is that of the rows. Shortly before the time is over, what every thread is doing
    is written to the standard error; and the part and all its processes end when the process above them is gone.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--until", type=float, default=time.monotonic() + 600)
    options = parser.parse_args(words)
    _keep_the_output_for_rows()
    faulthandler.dump_traceback_later(max(1.0, options.until - time.monotonic() - 2))
    threading.Thread(target=_end_without_parent, args=(os.getppid(),), daemon=True).start()
    if options.device == "cuda" and not torch.cuda.is_available():
        skip("needs CUDA")
    return Settings(torch.device(options.device), options.tiny, options.data, options.until)


def _keep_the_output_for_rows() -> None:
    global _rows
    _rows = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)


def _end_without_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)


def row(what: str, value: float | None = None, unit: str = "", **facts: object) -> None:
    """Write a row, as it is measured. `facts` are what else there is to say of it."""
    content: dict[str, object] = {"what": what}
    if value is not None:
        content |= {"value": value, "unit": unit}
    print(json.dumps(content | facts, default=str), file=_rows, flush=True)


def skip(reason: str) -> NoReturn:
    """End the part, which cannot be measured here."""
    print(json.dumps({"skipped": reason}), file=_rows, flush=True)
    sys.exit(0)


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turn an exception into a row with its first line, so that the part goes on."""
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        row(what, error=f"{type(error).__name__}: {lines[0]}"[:300])


def wait(device: torch.device) -> None:
    """Wait until the device has done what was launched."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_a_step(steps: Callable[[int], int], device: torch.device, least: float) -> float:
    """Seconds of a training step: the median of three measurements that take about so long each.

    `steps` takes at least so many steps, and returns how many. It has been called before.
    """

    def timed(count: int) -> float:
        wait(device)
        start = time.perf_counter()
        taken = steps(count)
        wait(device)
        return (time.perf_counter() - start) / taken

    count = max(1, round(least / max(timed(1), 1e-9)))
    if count > 3:  # one step is too short to tell
        count = max(1, round(least / max(timed(3), 1e-9)))
    measured = sorted(timed(count) for _ in range(3))
    return measured[1]

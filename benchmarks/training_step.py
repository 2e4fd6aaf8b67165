"""Training steps a second, as a ratio to the loop that a user would write (`hand_written.py`), by data set, objective
and views a step.

Random images of the data set's shape and the paper's settings: for MNIST the paper's networks, for CIFAR-10 a
ResNet-18. Medians of several, interleaved, after a warm-up; each way is a process of its own. The loop is given the
number of workers that is best for it. Run it with: python benchmarks/training_step.py
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import ClassVar

import click
import machine
import torch
from hand_written import hand_written
from random_images import run_of, steps_of

from simssl.training.build import BuiltRun
from simssl.training.machine.device import choose_device

ROUNDS = 5
LEAST, SECONDS = 2, 2.0
"""Steps that are timed at once: at least so many, and for about so long."""

Steps = Callable[[int], int]
"""Takes at least so many training steps, and returns how many: a captured launch takes several."""

DATA = {"mnist": (60_000, 1, 28, 28), "cifar10": (50_000, 3, 32, 32)}
ROWS = {
    f"{data}-{objective}-{views}": (data, objective, views)
    for data, objective, views in (
        ("mnist", "simvae", 120),
        ("mnist", "simvae", 1000),
        ("mnist", "simclr", 120),
        ("mnist", "simclr", 1000),
        ("cifar10", "simvae", 120),
        ("cifar10", "simclr", 120),
        ("cifar10", "simvae", 5120),
        ("cifar10", "simclr", 1024),
    )
}
"""Data set, objective and views a step, by name."""
LARGE = {"cifar10-simvae-5120", "cifar10-simclr-1024"}
"""512 images of CIFAR-10: on a CPU only if asked for."""


WORKERS = sorted({0, 2, min(16, os.cpu_count() or 1)})


def ways() -> dict[str, int | str]:
    """The workers of the hand-written loop, or the precision of ours (those that the device has), by name."""
    by_hand = {f"hand-written, {workers} workers": workers for workers in WORKERS}
    return by_hand | {f"simssl, {p}": p for p in machine.precisions()}


def run_in(row: str, precision: str) -> BuiltRun:
    of, objective, views = ROWS[row]
    settings = (
        f"objective={{name: {objective}}}",
        f"training.batch_views={views}",
        f"training.precision={precision}",
        "training.schedule={name: constant}",
    )
    return run_of(f"{of}_content.yaml", DATA[of], settings, choose_device("auto"))


class Timed:
    """One way to train, in a process of its own: each has its memory, its threads and its workers for itself."""

    steps: ClassVar[Steps]

    def __init__(self, row: str, way: int | str) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self._pool.submit(Timed._build, row, way).result()

    @staticmethod
    def _build(row: str, way: int | str) -> None:
        if isinstance(way, int):
            Timed.steps = hand_written(run_in(row, "float32"), way)
        else:
            Timed.steps = steps_of(run_in(row, way))

    def seconds(self, count: int) -> float:
        """Of a step, when so many are taken."""
        return self._pool.submit(Timed._seconds, count).result()

    @staticmethod
    def _seconds(count: int) -> float:
        start = time.perf_counter()
        taken = Timed.steps(count)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / taken

    def close(self) -> None:
        self._pool.shutdown()


def measure(row: str, rounds: int) -> dict[str, float]:
    """Seconds a step, by way."""
    timed = {name: Timed(row, way) for name, way in ways().items()}
    try:
        for way in timed.values():
            way.seconds(LEAST)  # to warm up
        counts = {name: max(LEAST, round(SECONDS / way.seconds(LEAST))) for name, way in timed.items()}
        seconds: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(rounds):
            for name, way in timed.items():
                seconds[name].append(way.seconds(counts[name]))
    finally:
        for way in timed.values():
            way.close()
    return {name: statistics.median(times) for name, times in seconds.items()}


@click.command()
@click.option(
    "--row",
    "rows",
    multiple=True,
    type=click.Choice(tuple(ROWS)),
    help="One or more; else all that the device is for.",
)
@click.option("--rounds", default=ROUNDS, show_default=True, help="Measurements of each way.")
def main(rows: tuple[str, ...], rounds: int) -> None:
    """Time a training step by hand and by simssl."""
    print(f"{machine.about('torchvision')}; medians of {rounds}")
    for name in rows or [row for row in ROWS if choose_device("auto").type == "cuda" or row not in LARGE]:
        medians = measure(name, rounds)
        reference = min(median for way, median in medians.items() if way.startswith("hand-written"))
        for way, median in medians.items():
            print(f"{name:20} {way:24} {1000 * median:8.2f} ms a step   ratio {reference / median:.2f}", flush=True)


if __name__ == "__main__":
    main()

"""How far a training step is from what the machine can do.

The operations and bytes that a step needs at least, the rates of the machine, measured here, the time that the slower
of the two allows, and the time that a step takes. Operations are those of matrix products and convolutions, forwards
and backwards (torch's FlopCounterMode). Bytes are those of the parameters alone, each of which is read on the way
forwards and backwards, gets a gradient, and is updated by Adam from two averages: 40 a parameter in float32. Medians of
five. Run it with: python benchmarks/roofline.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import machine
import torch
from random_images import run_of, trainer_of
from torch.utils.flop_counter import FlopCounterMode

from simssl.training.build import BuiltRun
from simssl.training.machine.device import choose_device
from simssl.training.machine.precision import step_in
from simssl.training.trainer import Trainer

ROUNDS, SIDE, BYTES = 5, 4096, 40
CASES = [
    ("mnist_content.yaml", (1, 28, 28), 120),
    ("mnist_content.yaml", (1, 28, 28), 1000),
]


def seconds(call: Callable[[], object], device: torch.device, least: float = 0.2, rounds: int = ROUNDS) -> float:
    """Of one call, the median of rounds that take at least so long each."""

    def timed(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    timed(2)
    count = max(1, round(least / (timed(2) / 2)))
    return statistics.median(timed(count) / count for _ in range(rounds))


def operations_a_second(precision: str, device: torch.device, side: int | None = None) -> float:
    """Of a product of two matrices, as large as a processor likes them if their `side` is not given."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    side = side or (SIDE if device.type == "cuda" else SIDE // 2)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    with step_in(precision):
        return 2 * side**3 / seconds(lambda: torch.mm(a, b), device)


def bytes_a_second(device: torch.device, length: int = 2**26) -> float:
    """Of a sum of two vectors, by default too large for any cache: two are read, one is written."""
    a, b = (torch.ones(length, device=device) for _ in range(2))
    return 3 * a.nbytes / seconds(lambda: torch.add(a, b, out=a), device)


def run_in(case: tuple[str, tuple[int, ...], int], precision: str, device: torch.device) -> BuiltRun:
    file, shape, views = case
    settings = (f"training.batch_views={views}", f"training.precision={precision}")
    return run_of(file, (6_000, *shape), settings, device)


def seconds_a_step(trainer: Trainer, device: torch.device) -> float:
    """Where steps are captured, a launch takes several."""
    before, launches = trainer.step, 0

    def launch() -> None:
        nonlocal launches
        launches += 1
        trainer.train_step()

    a_launch = seconds(launch, device)
    return a_launch * launches / (trainer.step - before)


def operations(trainer: Trainer) -> int:
    """Of one eager step, which the trainer does not count: it is of no use afterwards."""
    assert trainer.unit is not None
    with FlopCounterMode(display=False) as counter:
        trainer.unit()
    return int(counter.get_total_flops())


def main() -> None:
    device = choose_device("auto")
    print(f"{machine.about()}; medians of {ROUNDS}")
    moved = bytes_a_second(device)
    print(f"memory {moved / 1e9:.0f} GB/s")
    for precision in machine.precisions():
        done = operations_a_second(precision, device)
        print(f"{precision}: {done / 1e9:.0f} billion operations a second")
        for case in CASES:
            needed = operations(trainer_of(run_in(case, precision, device)))
            trainer = trainer_of(run_in(case, precision, device))
            trainer.train_step()
            parameters = sum(p.numel() for p in trainer.objective.parameters())
            least = max(needed / done, BYTES * parameters / moved)
            median = seconds_a_step(trainer, device)
            objective = trainer.built.experiment.objective.name
            print(
                f"  {case[0]} {objective:8} {case[2]:5} views  {needed / 1e9:7.2f} billion operations "
                f"{BYTES * parameters / 1e6:6.0f} MB   at least {1000 * least:8.2f} ms   "
                f"takes {1000 * median:8.2f} ms   {least / median:.2f} of the roof"
            )


if __name__ == "__main__":
    main()

"""SimCLR with a ResNet-18 on CIFAR-10's shape: images a second beside lightly (`against_lightly.py`).

lightly has the workers that its examples would be given on this machine, 16 at most.
"""

from __future__ import annotations

import importlib.util
import os

import machine
from rows import Settings, begin, guarded, row, seconds_a_step, skip


def main() -> None:
    settings = begin()
    if importlib.util.find_spec("lightly") is None:
        skip("lightly is not installed")
    for precision in ("bfloat16", "float32"):
        if precision in machine.precisions(settings.device):
            with guarded(precision):
                compare(precision, settings)


def compare(precision: str, settings: Settings) -> None:
    from against_lightly import lightly_side, simssl_side

    batch, images, least = (8, 64, 0.1) if settings.tiny else (512, 50_000, 2.0)
    workers = 1 if settings.tiny else min(16, os.cpu_count() or 1)
    what = f"SimCLR, ResNet-18, {batch} images a step, {precision}"

    steps = simssl_side("simclr", batch, precision, settings.device, images)
    steps(2)
    ours = seconds_a_step(steps, settings.device, least / 4)
    row(f"{what}: simssl", batch / ours, "images/s")

    steps = lightly_side("simclr", batch, precision, settings.device, images, workers)
    steps(2)
    theirs = seconds_a_step(steps, settings.device, least)
    row(f"{what}: lightly, {workers} workers", batch / theirs, "images/s")
    row(f"{what}: beside lightly", theirs / ours, "times as fast")


if __name__ == "__main__":
    main()

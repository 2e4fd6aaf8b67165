"""A training step beside the loop that a user would write (`hand_written.py`), with no worker and with many."""

from __future__ import annotations

import os

import machine
from hand_written import hand_written
from random_images import steps_by
from rows import Settings, begin, guarded, row, seconds_a_step
from runs import CIFAR10, MNIST, build, captured

CASES = (
    ("MNIST, SimVAE, 120 views", MNIST, "{name: simvae}", 120, "by-hand"),
    ("CIFAR-10's shape, SimCLR, 1024 views", CIFAR10, "{name: simclr}", 1024, None),
)


def main() -> None:
    settings = begin()
    workers = 1 if settings.tiny else min(16, os.cpu_count() or 1)
    for what, file, objective, views, goal in CASES[:1] if settings.tiny else CASES:
        with guarded(what):
            compare(what, file, objective, views, goal, workers, settings)


def compare(
    what: str, file: str, objective: str, views: int, goal: str | None, workers: int, settings: Settings
) -> None:
    ours = {}
    for precision in machine.precisions(settings.device):
        built = build(settings, file, objective, views, f"training.precision={precision}")
        steps = steps_by(captured(built))
        steps(1)
        ours[precision] = seconds_a_step(steps, settings.device, 0.02 if settings.tiny else 0.4)
        row(f"{what}: simssl, {precision}", 1000 * ours[precision], "ms")
    for count in (workers, 0):
        train = hand_written(build(settings, file, objective, views), count)
        train(2)
        theirs = seconds_a_step(train, settings.device, 0.05 if settings.tiny else 2.0)
        row(f"{what}: by hand, {count} workers", 1000 * theirs, "ms")
        for precision, seconds in ours.items():
            named = {"goal": goal} if goal and count == workers else {}
            compared = f"{what}: simssl in {precision}, beside {count} workers by hand in float32"
            row(compared, theirs / seconds, "times as fast", **named)


if __name__ == "__main__":
    main()

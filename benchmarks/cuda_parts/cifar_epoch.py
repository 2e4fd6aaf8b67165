"""An epoch of CIFAR-10's shape: SimCLR, ResNet-18, 512 images (1,024 views) a step, in both layouts."""

from __future__ import annotations

import time

from machine import precisions
from rows import Settings, begin, guarded, row, wait
from runs import CIFAR10, build, captured, gibibytes, is_captured, told, train_until

WAYS = (("bfloat16", True), ("tf32", True), ("bfloat16", False), ("tf32", False))
"""Precision, and whether the channels are last in memory; the fastest, as far as known, first."""


def main() -> None:
    settings = begin()
    for precision, channels_last in WAYS:
        layout = "channels last" if channels_last else "channels first"
        what = f"SimCLR, ResNet-18, 1024 views a step, {precision}, {layout}: an epoch"
        with guarded(what):
            epoch(what, precision, channels_last, settings)


def epoch(what: str, precision: str, channels_last: bool, settings: Settings) -> None:
    """Time an epoch, from one beginning to the next."""
    if precision not in precisions(settings.device):
        precision = "float32"
    changes = (f"training.precision={precision}", f"training.channels_last={str(channels_last).lower()}")
    with told() as log:
        built = build(settings, CIFAR10, "{name: simclr}", 1024, *changes)
        trainer = captured(built)
        steps = len(built.data.train) // built.images_per_step
        trainer.train_step()
        warm = trainer.step + (2 if settings.tiny else 20)
        train_until(trainer, warm)
        wait(settings.device)
        start, before = time.perf_counter(), trainer.step
        train_until(trainer, before + steps)
        wait(settings.device)
        seconds = (time.perf_counter() - start) / (trainer.step - before) * steps
    facts = {
        "ms_a_step": 1000 * seconds / steps,
        "images_a_second": steps * built.images_per_step / seconds,
        "computed_in": precision,
        "captured": is_captured(trainer),
        "GiB": gibibytes(settings.device),
        "log": "; ".join(log),
    }
    row(what, seconds, "s", goal="cifar-epoch", **facts)


if __name__ == "__main__":
    main()

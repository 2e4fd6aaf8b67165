"""A training step by objective, network, precision and layout, captured and eager; the most wanted rows first.

Random images of the data set's shape. Eager and captured steps are of one run, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from random_images import steps_by, trained
from rows import Settings, begin, guarded, row, seconds_a_step
from runs import CIFAR10, MNIST, NETWORKS, build, captured, eager, gibibytes, is_captured, told

LEAST = 6.0
"""Seconds that a row of a ResNet takes at most, about: with less left, none is begun."""


@dataclass(frozen=True)
class Case:
    """An objective on an experiment's networks, its views a step, and how the step is computed."""

    file: str
    objective: str
    views: int
    precision: str = "float32"
    channels_last: bool = False

    @property
    def name(self) -> str:
        layout = ", channels last" if self.channels_last else ""
        return f"{NETWORKS[self.file]}, {self.objective}, {self.views} views, {self.precision}{layout}"


def cases() -> Iterator[Case]:
    for precision in ("float32", "tf32", "bfloat16"):
        yield Case(MNIST, "simvae", 120, precision)
    for objective, views in (("simclr", 1024), ("simvae", 120)):
        for precision in ("bfloat16", "tf32", "float32"):
            for channels_last in (True, False):
                yield Case(CIFAR10, objective, views, precision, channels_last)
    for objective in trained():
        if objective != "simvae":
            yield Case(MNIST, objective, 120)
    for precision in ("bfloat16", "tf32"):
        yield Case(MNIST, "simvae", 1000, precision)
        yield Case(CIFAR10, "simvae", 5120, precision, channels_last=True)
    for objective in trained():
        yield Case(CIFAR10, objective, 240, "bfloat16", channels_last=True)


def tiny_cases() -> Iterator[Case]:
    yield Case(MNIST, "simvae", 40)
    yield Case(CIFAR10, "simclr", 40, "bfloat16", channels_last=True)
    for objective in ("byol", "deep_cluster"):  # with a teacher, and with captures in every epoch
        assert objective in trained()
        yield Case(MNIST, objective, 40)


def main() -> None:
    settings = begin()
    for case in tiny_cases() if settings.tiny else cases():
        if settings.left < LEAST:
            row(case.name, skipped_for="no time left")
            continue
        with guarded(case.name):
            measure(case, settings)


def measure(case: Case, settings: Settings) -> None:
    least = 0.005 if settings.tiny else 0.15
    changes = (f"training.precision={case.precision}", f"training.channels_last={str(case.channels_last).lower()}")
    with told() as log:
        built = build(settings, case.file, f"{{name: {case.objective}}}", case.views, *changes)
        milliseconds = {}
        for way, make in (("captured", captured), ("eager", eager)):
            trainer = make(built)
            steps = steps_by(trainer)
            steps(2)
            milliseconds[way] = 1000 * seconds_a_step(steps, settings.device, least)
            if way == "captured":
                was_captured = is_captured(trainer)
            trainer.release()
    facts = {
        "eager_ms": milliseconds["eager"],
        "times_as_fast": milliseconds["eager"] / milliseconds["captured"],
        "captured": was_captured,
        "GiB": gibibytes(settings.device),
        "log": "; ".join(log),
    }
    row(case.name, milliseconds["captured"], "ms", **facts)


if __name__ == "__main__":
    main()

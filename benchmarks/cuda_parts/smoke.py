"""MNIST's shape, SimVAE, 120 views: a step in each precision, and whether it is captured, or why not."""

from __future__ import annotations

from machine import PRECISIONS
from random_images import steps_by
from rows import Settings, begin, guarded, row, seconds_a_step
from runs import MNIST, build, captured, gibibytes, is_captured, told

OBJECTIVE = "{name: simvae, J: 10, sigma2: 0.15}"


def main() -> None:
    settings = begin()
    for precision in PRECISIONS:
        with guarded(f"SimVAE in {precision}"):
            train(precision, settings)


def train(precision: str, settings: Settings) -> None:
    with told() as log:
        trainer = captured(build(settings, MNIST, OBJECTIVE, 120, f"training.precision={precision}"))
        steps = steps_by(trainer)
        a_launch = steps(1)
        a_step = seconds_a_step(steps, settings.device, 0.02 if settings.tiny else 0.5)
    assert trainer.unit is not None
    facts = {
        "captured": is_captured(trainer),
        "steps_a_launch": a_launch,
        "computed_in": trainer.unit.precision,
        "loss": trainer.window.take(trainer.step).means("the smoke test")["loss"],
        "GiB": gibibytes(settings.device),
        "log": "; ".join(log),
    }
    row(f"MNIST, SimVAE, 120 views, {precision}", 1000 * a_step, "ms", goal="mnist-step", **facts)


if __name__ == "__main__":
    main()

"""Whether `torch.compile` would pay: an objective's way forwards and backwards, on views that are there already,
compiled, as a ratio to the same as it is.

The paper's networks, on random images: the MLP of MNIST with SimVAE, a ResNet-18 with SimCLR. Medians of five,
interleaved, after one that compiles. It needs a C++ compiler on a CPU. Run it with: python benchmarks/compiled.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import machine
import torch
from random_images import run_of

from simssl.training.build import BuiltRun
from simssl.training.machine.device import choose_device
from simssl.training.machine.precision import networks_in, step_in

ROUNDS, STEPS = 5, 10
CASES = (
    ("mnist_content.yaml", (6_000, 1, 28, 28), "simvae", 120),
    ("cifar10_content.yaml", (6_000, 3, 32, 32), "simclr", 32),
)


def way(built: BuiltRun, compiled: bool) -> Callable[[], object]:
    """Forwards and backwards, always of the same views."""
    objective, precision = built.objective.train(), built.experiment.training.precision
    images = built.data.train.images[: built.images_per_step].to(built.device)
    x_BJCHW = built.views.batch(images, objective.views, built.generator)
    index_B = torch.arange(len(images), device=built.device)
    forward = torch.compile(objective) if compiled else objective

    def step() -> None:
        with step_in(precision):
            with networks_in(precision, built.device):
                terms = forward(x_BJCHW, index_B, built.generator)
            torch.stack(list(terms.loss.values())).sum().backward()
        objective.zero_grad(set_to_none=True)

    return step


def seconds(call: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


def main() -> None:
    device = choose_device("auto")
    print(f"{machine.about()}; medians of {ROUNDS}")
    for file, shape, objective, views in CASES:
        for precision in machine.precisions():
            settings = (
                f"objective={{name: {objective}}}",
                f"training.batch_views={views}",
                f"training.precision={precision}",
            )
            ways = {c: way(run_of(file, shape, settings, device), c) for c in (False, True)}
            compiling = [seconds(call, 1) for call in ways.values()][1]
            rounds = [{c: seconds(call, STEPS) for c, call in ways.items()} for _ in range(ROUNDS)]
            eager, compiled = (statistics.median(times[c] for times in rounds) for c in ways)
            print(
                f"{file} {objective} {views} views, {precision:8}  as it is {1000 * eager:8.2f} ms   compiled "
                f"{1000 * compiled:8.2f} ms   ratio {eager / compiled:.2f}   after {compiling:.0f} s of compilation",
                flush=True,
            )


if __name__ == "__main__":
    main()

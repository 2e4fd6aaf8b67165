"""Images a second and peak memory of training with a ResNet-18, as a ratio to lightly's: SimCLR, MoCo, VICReg.

Random images of CIFAR-10's shape and the views of experiments/cifar10_content.yaml (crop, flip, jitter), two of each
image; SGD. Both sides train the same network to 64 dimensions, and heads of the same widths (lightly's have
batch norm for SimCLR and VICReg; ours have none). lightly's is the loop of its examples (`lightly_loop.py`): PIL images
and its transform in a DataLoader with two workers, its heads, losses, memory bank and split batch norm.

Every measurement is a process of its own; medians of several, interleaved. Memory: on CUDA, what tensors took at most;
on a CPU, the largest resident set of the process and what its workers have for themselves, so that what they share
counts once (Linux alone). Run it with: python benchmarks/against_lightly.py
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import machine
import torch
from random_images import run_of, steps_of

from simssl.plugin.registry import Registry
from simssl.training.machine.device import choose_device
from simssl.training.machine.precision import allow_tf32

IMAGES, SHAPE, LATENT_DIM = 50_000, (3, 32, 32), 64
HEADS = {"simclr": (128, 64), "moco": (128, 64), "vicreg": (256, 256)}
SIDES = ("lightly", "simssl")
SGD = {"lr": 0.06, "momentum": 0.9, "weight_decay": 5e-4}

Steps = Callable[[int], int]
"""Takes at least so many training steps, and returns how many."""


def simssl_side(method: str, batch: int, precision: str, device: torch.device, images: int = IMAGES) -> Steps:
    settings = (
        f"latent_dim={LATENT_DIM}",
        f"objective={json.dumps({'name': method, 'head': HEADS[method]})}",
        f"training.optimizer={json.dumps({'name': 'sgd', **SGD})}",
        f"training.batch_views={2 * batch}",
        f"training.precision={precision}",
    )
    return steps_of(run_of("cifar10_content.yaml", (images, *SHAPE), settings, device))


def lightly_side(
    method: str, batch: int, precision: str, device: torch.device, images: int = IMAGES, workers: int | None = None
) -> Steps:
    from lightly_loop import WORKERS, Pictures, lightly_steps, model

    allow_tf32(precision == "tf32")
    backbone = Registry().load("backbone", "resnet18")
    encoder = backbone(backbone.Params()).encoder(SHAPE, LATENT_DIM)
    network = model(method, encoder, LATENT_DIM, HEADS[method])
    return lightly_steps(network, Pictures(images), batch, SGD, precision, device, workers or WORKERS)


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process has had so far, with its workers'."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    own = _kilobytes("self/status", "VmHWM")
    workers = [f"{child.pid}/smaps_rollup" for child in multiprocessing.active_children()]
    return 1024 * (own + sum(_kilobytes(path, "Private_(?:Clean|Dirty)") for path in workers))


def _kilobytes(path: str, field: str) -> int:
    text = Path("/proc", path).read_text()
    return sum(int(number) for number in re.findall(rf"^{field}:\s*(\d+) kB", text, re.MULTILINE))


def measure(side: str, method: str, batch: int, precision: str, count: int) -> None:
    """In a process of its own: print images a second and bytes, as JSON."""
    device = choose_device("auto")
    steps = {"lightly": lightly_side, "simssl": simssl_side}[side](method, batch, precision, device)
    steps(max(2, count // 4))
    _wait(device)
    start = time.perf_counter()
    taken = steps(count)
    _wait(device)
    seconds = time.perf_counter() - start
    print(json.dumps({"speed": taken * batch / seconds, "bytes": peak_bytes(device)}))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def in_a_process(*arguments: str) -> dict[str, float]:
    command = (sys.executable, __file__, *arguments)
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(output.splitlines()[-1]))


@click.command()
@click.option("--method", "methods", multiple=True, type=click.Choice(tuple(HEADS)), help="One or more; else all.")
@click.option("--batch", default=128, show_default=True, help="Images in a step.")
@click.option(
    "--precision", default="float32", show_default=True, type=click.Choice(machine.PRECISIONS), help="Of both sides."
)
@click.option("--steps", default=100 if torch.cuda.is_available() else 4, show_default=True, help="Timed at once.")
@click.option("--rounds", default=3, show_default=True, help="Measurements of each side.")
@click.option("--only", type=click.Choice(SIDES), hidden=True)
def main(methods: tuple[str, ...], batch: int, precision: str, steps: int, rounds: int, only: str | None) -> None:
    """Train with lightly and with simssl, and print images a second and peak memory."""
    if importlib.util.find_spec("lightly") is None:
        sys.exit("lightly is not installed, and simssl does not need it; for this comparison: pip install lightly")
    if precision not in machine.precisions():
        sys.exit(f"--precision is {precision}, of which this {choose_device('auto').type} device has no fast products")
    if only:
        measure(only, methods[0], batch, precision, steps)
    else:
        compare(methods or tuple(HEADS), batch, precision, steps, rounds)


def compare(methods: Sequence[str], batch: int, precision: str, steps: int, rounds: int) -> None:
    print(f"{machine.about('lightly')}; {batch} images a step in {precision}, medians of {rounds}")
    same = ("--batch", str(batch), "--precision", precision, "--steps", str(steps))
    for method in methods:
        run = ("--method", method, *same, "--only")
        measured: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for _ in range(rounds):
            for side in SIDES:
                measured[side].append(in_a_process(*run, side))
        speed = {side: statistics.median(one["speed"] for one in measured[side]) for side in SIDES}
        size = {side: statistics.median(one["bytes"] for one in measured[side]) for side in SIDES}
        for side in SIDES:
            print(
                f"{method:7} {side:8} {speed[side]:9.1f} images/s   ratio {speed[side] / speed['lightly']:.3f}   "
                f"{size[side] / 2**20:7,.0f} MiB   ratio {size[side] / size['lightly']:.2f}"
            )


if __name__ == "__main__":
    main()

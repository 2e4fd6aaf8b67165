"""The numbers of docs/scale.md: ImageNet on 8, 64 and 512 GPUs, reckoned, and the files of a grid, counted.

Counted on the real networks (timm's) are operations, parameters, batch norms and the kernels that a step calls. What
is assumed of the hardware stands in `ASSUMED`, with its source. All else follows by the arithmetic in `Step`. The
views are not in it, and no GPU was used: a reckoning says where a limit lies, not what a run will take.

Run it with: python benchmarks/scale.py [--runs DIR]; DIR holds finished runs, whose files are counted.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import timm
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from simssl.blocks.internals import BatchNorm

IMAGES, SIDE = 1_281_167, 224
BATCH, VIEWS, PROJECTED = 4096, 2, 128
"""SimCLR's: images of a step, views of an image, dimensions that are gathered. Chen et al. 2020, arXiv 2002.05709."""
EPOCHS = 100
GPUS = (8, 64, 512)
NETWORKS = {"ResNet-50": "resnet50", "ViT-S/16": "vit_small_patch16_224"}


@dataclass(frozen=True)
class Assumed:
    """What is assumed of the hardware. Rates are a GPU's, a second."""

    value: float
    what: str
    source: str


A100 = "NVIDIA, A100 80GB SXM data sheet (peak, published)"
DGX = "NVIDIA, DGX A100 data sheet (peak, published)"
NCCL = "NCCL, src/graph/tuning.cc (its own model of latency)"
RATE = "NVIDIA/DeepLearningExamples, PaddlePaddle/Classification/RN50v1.5: one A100 80GB, mixed precision (published)"
ASSUMED = {
    "peak": Assumed(312e12, "operations of products in bfloat16", A100),
    "memory": Assumed(2.039e12, "bytes from its memory", A100),
    "images": Assumed(2711, "images of ResNet-50 in training", RATE),
    "nvlink": Assumed(300e9, "bytes to the other GPUs of a machine, one way (half of 600 GB/s)", A100),
    "network": Assumed(200e9, "bytes out of a machine of 8 GPUs, one way (8 x 200 Gb/s)", DGX),
    "reached": Assumed(0.75, "part of these two that an all-reduce reaches", "ours, without a source"),
    "base": Assumed(6.8e-6, "seconds of any all-reduce", NCCL),
    "hop": Assumed(0.6e-6, "seconds from GPU to GPU in a machine", NCCL),
    "far": Assumed(5.0e-6, "seconds from machine to machine", NCCL),
    "kernel": Assumed(3e-6, "seconds of the smallest kernel in a captured step", "ours, without a source"),
    "optimiser": Assumed(40, "bytes of memory that Adam moves for a parameter", "benchmarks/roofline.py (arithmetic)"),
}


def assumed(name: str) -> float:
    return ASSUMED[name].value


# --- counted ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """What is counted of a network, with SimCLR's head of two layers."""

    forward: float
    training: float
    """Operations of a view, an addition and a multiplication being two."""
    parameters: int
    batch_norms: int
    channels: int
    """Of all batch norms."""
    kernels: int
    """Calls of torch's operations, forwards and backwards, that compute."""


class Calls(TorchDispatchMode):
    """Counts calls of operations, but for those that only look at a tensor in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def network(name: str) -> nn.Module:
    encoder = timm.create_model(NETWORKS[name], num_classes=0)
    width = encoder.num_features
    return nn.Sequential(encoder, nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTED))


def counts(name: str) -> Counts:
    with torch.device("meta"):
        model = network(name)
        x_BCHW = torch.empty(2, 3, SIDE, SIDE)
    with FlopCounterMode(display=False) as forward:
        model(x_BCHW)
    with FlopCounterMode(display=False) as training:
        model(x_BCHW).sum().backward()
    with Calls() as calls:
        model(x_BCHW).sum().backward()
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    return Counts(
        forward=forward.get_total_flops() / len(x_BCHW),
        training=training.get_total_flops() / len(x_BCHW),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        batch_norms=len(norms),
        channels=sum(norm.num_features for norm in norms),
        kernels=calls.count,
    )


def images_a_second_here(name: str, batch: int = 4) -> float:
    """Views a second, forwards and backwards on this machine's CPU: the better of two steps."""
    model = network(name)
    x_BCHW = torch.rand(batch, 3, SIDE, SIDE)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        loss: Tensor = model(x_BCHW).sum()
        loss.backward()
        seconds.append(time.perf_counter() - start)
    return batch / min(seconds)


# --- reckoned --------------------------------------------------------------------------------------------


def latency(gpus: int) -> float:
    """Seconds of an all-reduce of nothing: there and back through a tree over machines, a chain in each."""
    machines = math.ceil(gpus / 8)
    chain = (min(gpus, 8) - 1) * assumed("hop")
    return assumed("base") + 2 * (chain + math.log2(machines) * assumed("far"))


def all_reduce(num_bytes: float, gpus: int) -> float:
    """Seconds of an all-reduce: each GPU sends and receives 2 (N - 1) / N of the bytes."""
    rate = assumed("nvlink" if gpus <= 8 else "network") * assumed("reached")
    return latency(gpus) + 2 * (gpus - 1) / gpus * num_bytes / rate


@dataclass(frozen=True)
class Step:
    """A step of SimCLR on N GPUs: the parts of its time in seconds, and its bytes. The parts follow one another."""

    counts: Counts
    gpus: int
    rate: float
    """Operations a second of a GPU."""

    @property
    def networks(self) -> float:
        """The networks, and the similarities of own views with all."""
        views = BATCH * VIEWS
        similarities = 3 * 2 * views**2 * PROJECTED
        seconds = (views * self.counts.training + similarities) / self.gpus / self.rate
        return max(seconds, self.counts.kernels * assumed("kernel"))

    @property
    def optimiser(self) -> float:
        return self.counts.parameters * assumed("optimiser") / assumed("memory")

    @property
    def gradient_bytes(self) -> int:
        return 4 * self.counts.parameters

    @property
    def gathered_bytes(self) -> int:
        """The representations of all views in float32; their gradient has as many."""
        return 4 * BATCH * VIEWS * PROJECTED

    @property
    def norm_bytes(self) -> int:
        """Two sums a channel forwards, and two backwards."""
        return 4 * 4 * self.counts.channels

    @property
    def gradients(self) -> float:
        return all_reduce(self.gradient_bytes, self.gpus)

    @property
    def gather(self) -> float:
        return 2 * all_reduce(self.gathered_bytes / 2, self.gpus)  # half of an all-reduce, there and back

    @property
    def norms(self) -> float:
        """Two all-reduces a batch norm, one after the other."""
        calls = 2 * self.counts.batch_norms
        return calls * all_reduce(self.norm_bytes / calls, self.gpus) if calls else 0.0

    @property
    def seconds(self) -> float:
        return self.networks + self.optimiser + self.gradients + self.gather + self.norms

    @property
    def hours(self) -> float:
        return EPOCHS * (IMAGES // BATCH) * self.seconds / 3600


def rate() -> float:
    """Operations a second that a GPU reaches: those of ResNet-50 at the published images a second."""
    return assumed("images") * counts("ResNet-50").training


def stops(count: Counts, reached: float) -> int:
    """The number of GPUs whose double makes the step less than 1.25 times as fast; 0 if the batch ends before."""
    gpus = 8
    while gpus * 2 <= BATCH:
        if Step(count, gpus, reached).seconds / Step(count, 2 * gpus, reached).seconds < 1.25:
            return gpus
        gpus *= 2
    return 0


# --- printed ---------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="a folder of finished runs, whose files are counted")
    arguments = parser.parse_args()
    print(machine.about("timm"))
    print("\nassumed, none of it measured:")
    for name, each in ASSUMED.items():
        print(f"  {name:<10} {each.value:<10.4g} {each.what}; {each.source}")
    reached = rate()
    print(f"\nso a GPU reaches {reached / 1e12:.1f} TFLOP/s, {reached / assumed('peak'):.0%} of its peak")
    for name in NETWORKS:
        show(name, counts(name), reached)
    cache = IMAGES * 3 * SIDE**2
    print(f"\nthe images at {SIDE} x {SIDE}: {cache / 1e9:.0f} GB, {3 * SIDE**2:,} bytes each")
    if arguments.runs:
        show_files(arguments.runs)


def show(name: str, count: Counts, reached: float) -> None:
    step = Step(count, 8, reached)
    print(f"\n{name}, {BATCH} images a step, {VIEWS} views each, {EPOCHS} epochs of {IMAGES // BATCH} steps")
    print(f"  counted: {count.forward / 1e9:.2f} billion operations forwards, {count.training / 1e9:.2f} in training")
    print(f"  counted: {count.parameters:,} parameters, {count.batch_norms} batch norms, {count.kernels} kernels")
    print(f"  measured here: {images_a_second_here(name):.2f} views a second on this CPU, float32")
    print(f"  a step: {BATCH * VIEWS * count.training / 1e12:,.0f} trillion operations")
    print(f"  bytes a step: gradients {step.gradient_bytes / 1e6:.1f} MB, representations", end=" ")
    print(f"{step.gathered_bytes / 1e6:.1f} MB and as many back, batch norms {step.norm_bytes / 1e6:.2f} MB")
    parts = ("networks", "optimiser", "gradients", "gather", "norms", "seconds")
    print(f"  {'GPUs':>6} {'views each':>10}" + "".join(f" {part + ' ms':>13}" for part in parts), end="")
    print(f" {'at work':>8} {'images/s':>10} {'GB/s a machine':>15} {'hours':>7}")
    for gpus in GPUS:
        step = Step(count, gpus, reached)
        images = BATCH / step.seconds
        read = images * 3 * SIDE**2 / (gpus / 8)
        print(f"  {gpus:>6} {BATCH * VIEWS // gpus:>10}", end="")
        print("".join(f" {1e3 * getattr(step, part):>13.2f}" for part in parts), end="")
        print(f" {step.networks / step.seconds:>8.0%} {images:>10,.0f} {read / 1e9:>15.2f} {step.hours:>7.2f}")
    end = stops(count, reached)
    print(f"  twice the GPUs make a step less than 1.25 times as fast from {end or f'over {BATCH}'} on")


def show_files(runs: Path) -> None:
    folders = [path.parent for path in runs.rglob("metrics.json")]
    print(f"\n{len(folders)} runs in {runs}; of each, files, folders and bytes on the disk:")
    for folder in sorted(folders):
        entries = list(folder.rglob("*"))
        files = [path for path in entries if path.is_file()]
        used = sum(path.stat().st_blocks * 512 for path in files)
        size = sum(path.stat().st_size for path in files)
        print(f"  {folder.name}: {len(files)} files, {len(entries) - len(files)} folders, {used:,} ({size:,} in files)")


if __name__ == "__main__":
    main()

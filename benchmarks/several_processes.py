"""Runs on several processes beside the same runs on one: their weights, their numbers, and their speed.

exact: 20 steps of the quickstart in float64 with SimVAE, SimCLR, DeepCluster, MoCo with batch norm, on 2 and 4 members
of a gloo group in this process; the distance of the weights from those on one process, beside their length.
alike: the same in float32, on 2 and 4 processes of one thread; and, for comparison, on one process of two threads.
numbers: the whole quickstart of SimVAE and SimCLR on one process and on two: by how many test images kNN differs.
speed: images a second of two processes of one thread, and of one process of two threads; how much of a step two
processes exchange (or wait for one another); torch's DistributedDataParallel around the same objective, with a step
written by hand.

Run it with: python benchmarks/several_processes.py
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import machine
import torch
from torch import Tensor

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
QUICKSTART = EXPERIMENTS / "quickstart.yaml"
STEPS, BATCH_VIEWS = 20, 240
CONVNET = ("backbone={name: convnet}",)
ALIKE: dict[str, tuple[str, ...]] = {
    "simvae": (),
    "simclr": (),
    "deep_cluster": (),
    "moco": CONVNET,
}
NUMBERS = ("simvae", "simclr")
TEST_IMAGES = 360
"""Of digits."""
SPEED = {
    "MLP, MNIST, SimVAE, 120 views": ("mnist_content.yaml", (60_000, 1, 28, 28), ()),
    "ResNet-18, CIFAR-10, SimCLR, 128 views": (
        "cifar10_content.yaml",
        (2_000, 3, 32, 32),
        ("objective={name: simclr}", "training.batch_views=128"),
    ),
}
COUNTED = {"MLP": 50, "ResNet-18": 4}
"""Steps that are timed, after one that is not."""
ROUNDS = 3


# --- runs ------------------------------------------------------------------------------------------------


def torchrun(processes: int) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]


def run(runs: Path, processes: int, *settings: str, threads: int = 1) -> Path:
    """The folder of the one run of the quickstart with these settings, on so many processes."""
    words = ["-m", "simssl", "run", str(QUICKSTART), *settings, "--runs", str(runs), "--device", "cpu"]
    command = [sys.executable, *words] if processes == 1 else [*torchrun(processes), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    (file,) = runs.rglob("checkpoint.pt")
    return file.parent


def weights(folder: Path) -> dict[str, Tensor]:
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    return {name: value.double() for name, value in state["objective"].items() if value.is_floating_point()}


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The distance of all weights from the others, beside their length."""
    ones = torch.cat([value.flatten() for value in one.values()])
    others = torch.cat([other[name].flatten() for name in one])
    return float((ones - others).norm() / ones.norm())


def settings_of(method: str) -> tuple[str, ...]:
    grid = f"grid={{objective: [{{name: {method}}}], seed: [0]}}"
    return (grid, f"training.views={STEPS * BATCH_VIEWS}", "evaluators=[]", *ALIKE[method])


def built_in_float64(method: str, rank: int = 0, size: int = 1):  # type: ignore[no-untyped-def]
    from simssl.blocks.distributed import Seat, together
    from simssl.experiment.config import load_experiments
    from simssl.plugin.registry import Registry
    from simssl.testing.checks.processes import ViewsInFloat64
    from simssl.training.build import build_run, load_data

    registry = Registry()
    (experiment,) = load_experiments(QUICKSTART, registry, settings_of(method))
    data = load_data(experiment.dataset, registry, Path("data"), lambda label, done, total: None)
    with together(Seat(rank, size) if size > 1 else None):
        built = build_run(experiment, registry, data, torch.device("cpu"))
    built.objective = built.objective.double()
    built.views = ViewsInFloat64(built.views)
    return built


def compare_exactly() -> None:
    from functools import partial

    from simssl.testing.checks import processes

    torch.set_num_threads(1)
    processes.take_steps = partial(processes.take_steps, count=STEPS)  # type: ignore[assignment]
    for method in ALIKE:
        with tempfile.TemporaryDirectory() as folder:
            alone = processes.take_steps(built_in_float64(method), Path(folder) / "alone")
            for size in (2, 4):
                runs = [built_in_float64(method, rank, size) for rank in range(size)]
                shared = processes.side_by_side(runs, Path(folder))
                most = max(distance(_floats(alone.state), _floats(steps.state)) for steps in shared)
                print(f"{method:14} float64, {size} members, {STEPS} steps: {most:.1e} of the length", flush=True)


def _floats(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.double() for name, value in state.items() if value.is_floating_point()}


def compare_weights() -> None:
    ways = {
        "one process of two threads": (1, 2),
        "2 processes of one thread": (2, 1),
        "4 processes of one thread": (4, 1),
    }
    for method in ALIKE:
        given = [word for setting in settings_of(method) for word in ("-s", setting)]
        with tempfile.TemporaryDirectory() as runs:
            alone = weights(run(Path(runs), 1, *given))
        for way, (processes, threads) in ways.items():
            with tempfile.TemporaryDirectory() as runs:
                most = distance(alone, weights(run(Path(runs), processes, *given, threads=threads)))
            print(f"{method:14} {way}, {STEPS} steps: {most:.1e} of the length", flush=True)


def compare_numbers() -> None:
    for method in NUMBERS:
        grid = f"grid={{objective: [{{name: {method}}}], seed: [0]}}"
        accuracies = {}
        for processes in (1, 2):
            with tempfile.TemporaryDirectory() as runs:
                folder = run(Path(runs), processes, "-s", grid, "-s", "evaluators=[{name: knn}]")
                metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
                accuracies[processes] = metrics["knn/class/accuracy"]["value"]
        images = round(abs(accuracies[1] - accuracies[2]) * TEST_IMAGES)
        told = f"kNN {accuracies[1]:.4f} on one process, {accuracies[2]:.4f} on two"
        print(f"{method:14} {told}: {images} test images apart", flush=True)


# --- speed -----------------------------------------------------------------------------------------------


def worker(name: str, way: str) -> None:
    """Print images a second, and the share of the time in exchanges, as JSON; on process 0."""
    from contextlib import nullcontext

    from random_images import run_of, steps_of

    from simssl.blocks.distributed import together
    from simssl.launch.together import torchrun as told
    from simssl.launch.together.processes import connected

    file, shape, settings = SPEED[name]
    cpu = torch.device("cpu")
    with connected(cpu) if told.processes() > 1 else nullcontext() as processes:
        group = Timed(processes.group) if processes else None
        with together(group):
            built = run_of(file, shape, settings, cpu)
            steps = by_hand(built) if way == "DDP" else steps_of(built)
            steps(1)
            if group:
                group.seconds = 0.0
            start = time.perf_counter()
            done = steps(COUNTED[name.split(",")[0]])
            seconds = time.perf_counter() - start
            images = done * built.images_per_step / seconds
            share = group.seconds / seconds if group else 0.0
        if not processes or processes.rank == 0:
            print(json.dumps({"images": images, "share": share}), flush=True)


class Timed:
    """A group that counts the seconds of its exchanges."""

    def __init__(self, group) -> None:  # type: ignore[no-untyped-def]
        self._group, self.rank, self.size, self.seconds = group, group.rank, group.size, 0.0

    def _counted(self, exchange, x):  # type: ignore[no-untyped-def]
        start = time.perf_counter()
        try:
            return exchange(x)
        finally:
            self.seconds += time.perf_counter() - start

    def sum(self, x: Tensor) -> None:
        self._counted(self._group.sum, x)

    def gather(self, x: Tensor) -> Tensor:
        return self._counted(self._group.gather, x)

    def copy_first(self, x: Tensor) -> None:
        self._counted(self._group.copy_first, x)


def by_hand(built):  # type: ignore[no-untyped-def]
    """Steps with DistributedDataParallel around the objective, as a user would write them."""
    from torch.nn.parallel import DistributedDataParallel

    from simssl.blocks.distributed import rank, world_size
    from simssl.training.optimizer.optimize import build_optimizer

    objective = built.objective.train()
    ddp = DistributedDataParallel(objective)
    optimizer = build_optimizer(built.experiment.training.optimizer, objective.parameter_groups())
    own = built.images_per_step // world_size()
    images_NCHW = built.data.train.images

    def steps(count: int) -> int:
        for _ in range(count):
            order_N = torch.randperm(len(images_NCHW), generator=built.generator)
            index_B = order_N[rank() * own : (rank() + 1) * own]
            x_BJCHW = built.views.batch(images_NCHW[index_B], objective.views, built.generator)
            optimizer.zero_grad(set_to_none=True)
            terms = ddp(x_BJCHW, index_B, built.generator)
            torch.stack(list(terms.loss.values())).sum().backward()
            optimizer.step()
            objective.after_step(torch.tensor(0.5))
        return count

    return steps


def time_steps() -> None:
    ways = {
        "one process, two threads": (1, "2", "simssl"),
        "one process, one thread": (1, "1", "simssl"),
        "two processes of one thread": (2, "1", "simssl"),
        "two processes, DDP by hand": (2, "1", "DDP"),
    }
    for name in SPEED:
        results: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, (processes, threads, kind) in ways.items():
                start = [sys.executable] if processes == 1 else torchrun(processes)
                command = [*start, __file__, "--worker", name, kind]
                environment = {**os.environ, "OMP_NUM_THREADS": threads}
                done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                results[way].append(json.loads(done.stdout.strip().splitlines()[-1]))
        reference = statistics.median(result["images"] for result in results["one process, two threads"])
        for way, values in results.items():
            images = statistics.median(value["images"] for value in values)
            share = statistics.median(value["share"] for value in values)
            told = f", {share:.0%} of a step exchanged or waited" if way == "two processes of one thread" else ""
            print(f"{name:40} {way:28} {images:8.1f} images/s, {images / reference:.2f}{told}", flush=True)


PARTS = {"exact": compare_exactly, "alike": compare_weights, "numbers": compare_numbers, "speed": time_steps}


@click.command()
@click.option("--part", "parts", type=click.Choice(list(PARTS)), multiple=True, help="This part alone; repeatable.")
def main(parts: tuple[str, ...]) -> None:
    """Compare runs on several processes with the same runs on one."""
    print(f"{machine.about()}; load before {os.getloadavg()[0]:.1f}", flush=True)
    for part in parts or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:])
    else:
        main()

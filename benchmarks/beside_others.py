"""How many times as long simssl takes beside other programs as alone: steps, `evaluate`, `encode` and the quickstart.

The others are one or three loops (`while True: pass`), or three trainings with threads of their own that spin as those
of OpenMP do. Each is a session of its own, as from another terminal. The work is `mnist_content.yaml` with SimVAE and
120 views a step, on random images, in processes that stay; the quickstart is the whole command. "plain" is without the
watch over the cores (`simssl/training/machine/spinning.py`).

Medians of --rounds, interleaved. It takes less than ten minutes on two cores without other work, half of it for the
quickstart. Run it with: python benchmarks/beside_others.py
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import machine

LOOP = [sys.executable, "-c", "while True: pass"]
SECONDS = 2.0
"""For which a training works at a time."""
TRAIN, ENCODED = 10_000, 10_000
"""Images that the evaluators train on, and that are encoded."""
BESIDE = {"alone": 0, "1 loop": 1, "3 loops": 3, "3 trainings": 3}
BOUNDS = {"1 loop": 2, "3 loops": 4, "3 trainings": 4}
"""Most that work should take beside others, as a ratio to its time alone."""
PARTS = ("steps", "evaluate", "encode", "quickstart")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}


# --- a process that works, one line on standard input at a time ------------------------------------------


def work(part: str, way: str) -> None:
    """Do the part once for each line, and answer with milliseconds a step, or seconds."""
    from simssl.training.machine import spinning

    if way == "plain":
        spinning.openmp = lambda: None  # type: ignore[assignment]
    task = {"steps": steps_task, "evaluate": evaluate_task, "encode": encode_task}[part]()
    with contextlib.redirect_stdout(sys.stderr):
        task()  # to warm up
    print("ready", flush=True)
    for _ in sys.stdin:
        print(task(), flush=True)


def steps_task() -> Callable[[], float]:
    import torch
    from random_images import run_of, steps_of

    from simssl.training.machine.spinning import considerate_threads

    steps = steps_of(run_of("mnist_content.yaml", (60_000, 1, 28, 28), (), torch.device("cpu")))

    def task() -> float:
        done, start = 0, time.perf_counter()
        with considerate_threads(torch.device("cpu")):
            while time.perf_counter() - start < SECONDS:
                done += steps(1)
        return 1000 * (time.perf_counter() - start) / done

    return task


def evaluate_task() -> Callable[[], float]:
    import shutil

    from simssl.evaluation.evaluate import evaluate
    from simssl.experiment.sections import choice
    from simssl.plugin.registry import Registry
    from simssl.training.machine.spinning import considerate_threads
    from simssl.training.records.trackers import Trackers

    built, folder = trained()
    wanted = ("knn", "{name: mlp_probe, epochs: 3}", "collapse", "reconstruction")
    choices = [choice(text, "evaluator", Registry()) for text in wanted]

    def task() -> float:
        shutil.rmtree(folder.features, ignore_errors=True)
        start = time.perf_counter()
        with considerate_threads(built.device):
            evaluate(built, folder, choices, Registry(), Trackers({}, print))
        return time.perf_counter() - start

    return task


def encode_task() -> Callable[[], float]:
    import torch

    import simssl

    _, folder = trained()
    model = simssl.load(folder.path, device="cpu")
    images = torch.randint(0, 256, (ENCODED, 1, 28, 28), dtype=torch.uint8)

    def task() -> float:
        start = time.perf_counter()
        model.encode(images)
        return time.perf_counter() - start

    return task


def trained():  # type: ignore[no-untyped-def]
    """A run of a few steps on random images with labels, and its folder."""
    import torch
    from random_images import ALONE, EXPERIMENTS

    from simssl.api import Data, Split, Target
    from simssl.experiment.config import load_experiments
    from simssl.experiment.yaml12 import dump
    from simssl.plugin.registry import Registry
    from simssl.store.files import write_whole
    from simssl.store.folder import RunFolder
    from simssl.training.build import build_run
    from simssl.training.records.trackers import Trackers
    from simssl.training.stop import Stop
    from simssl.training.train import train
    from simssl.training.trainer import Trainer

    settings = (*ALONE, "training.views=1200")
    (experiment,) = load_experiments(EXPERIMENTS / "mnist_content.yaml", Registry(), settings)
    splits = []
    for count in (TRAIN, TRAIN // 4):
        labels_N = torch.arange(count) % 10
        images = torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8)
        splits.append(Split(images, {"class": Target(labels_N, "class", role="content")}))
    built = build_run(experiment, Registry(), Data.of(*splits), torch.device("cpu"))
    folder = RunFolder(Path(tempfile.mkdtemp()))
    write_whole(folder.experiment, dump(experiment.resolved).encode())
    train(Trainer(built, folder), Trackers({}, print), Stop())
    return built, folder


# --- what it is measured beside --------------------------------------------------------------------------


class Worker:
    """A process that does a part of the work when it is told to."""

    def __init__(self, part: str, way: str) -> None:
        command = [sys.executable, __file__, "--work", part, way]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, env=CLEAN, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )

    def ready(self) -> None:
        if self._process.stdout.readline() != "ready\n":
            sys.exit("a worker has failed; try: python benchmarks/beside_others.py --work PART plain")

    def begin(self) -> None:
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def result(self) -> float:
        return float(self._process.stdout.readline())

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def beside(others: str, trainings: list[Worker]) -> Iterator[None]:
    """Within it the others are at work. The trainings go on with what they are at, and stand still otherwise."""
    loops = []
    if others.endswith(("loop", "loops")):
        loops = [subprocess.Popen(LOOP, start_new_session=True) for _ in range(BESIDE[others])]
    if others.endswith("trainings"):
        for training in trainings:
            training.go_on()
    time.sleep(0.2)
    try:
        yield
    finally:
        for training in trainings:
            training.pause()
        for loop in loops:
            loop.kill()
            loop.wait()


# --- the measurements ------------------------------------------------------------------------------------


def time_parts(parts: list[str], rounds: int) -> None:
    ways = [(part, way) for part in parts for way in ("plain", "simssl")]
    workers = {}
    for part, way in ways:
        workers[part, way] = Worker(part, way)
        workers[part, way].ready()
    trainings = [Worker("steps", "plain") for _ in range(BESIDE["3 trainings"])]
    for training in trainings:
        training.ready()
        for _ in range(10_000):  # more than they will ever do
            training.begin()
        training.pause()
    times: dict[tuple[str, str, str], list[float]] = {}
    try:
        for _ in range(rounds):
            for others in BESIDE:
                for part, way in ways:
                    if way == "plain" and part != "steps" and others != "alone":
                        continue  # it takes minutes, and the steps show it
                    with beside(others, trainings):
                        workers[part, way].begin()
                        times.setdefault((part, way, others), []).append(workers[part, way].result())
    finally:
        for worker in (*workers.values(), *trainings):
            worker.end()
    for part in parts:
        tell(part, times)


def tell(part: str, times: dict[tuple[str, str, str], list[float]]) -> None:
    unit = "ms a step" if part == "steps" else "s"
    medians = {key: statistics.median(values) for key, values in times.items() if key[0] == part}
    for (_, way, others), median in medians.items():
        if others == "alone":
            ratio = median / medians[part, "plain", "alone"]
            said = f"{ratio:.2f} of plain" + (", at most 1.1" if way == "simssl" else "")
        else:
            ratio = median / medians[part, way, "alone"]
            said = f"{ratio:.2f} of alone" + (f", at most {BOUNDS[others]}" if way == "simssl" else "")
        values = times[part, way, others]
        spread = f"{min(values):.2f}-{max(values):.2f}"
        print(f"{part:11} {way:7} {others:12} {median:9.2f} {unit:9} ({spread})   {said}", flush=True)


def time_quickstart(rounds: int) -> None:
    """Print the seconds of the whole command, alone and beside one loop."""
    seconds: dict[str, list[float]] = {"alone": [], "1 loop": []}
    for _ in range(rounds):
        for others, values in seconds.items():
            with tempfile.TemporaryDirectory() as runs, beside(others, []):
                values.append(quickstart(runs))
    for (others, values), bound in zip(seconds.items(), (100, 200), strict=True):
        median = statistics.median(values)
        spread = f"{min(values):.1f}-{max(values):.1f}"
        print(f"{'quickstart':11} {'simssl':7} {others:12} {median:9.1f} s ({spread})   at most {bound}")


def quickstart(runs: str) -> float:
    experiment = Path(__file__).parents[1] / "experiments" / "quickstart.yaml"
    command = [sys.executable, "-m", "simssl", "run", str(experiment), "--runs", runs, "--device", "cpu"]
    start = time.perf_counter()
    subprocess.run(command, check=True, env=CLEAN, capture_output=True, start_new_session=True)
    return time.perf_counter() - start


@click.command()
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="This part alone; repeatable.")
@click.option("--rounds", default=3, show_default=True, help="Repetitions of the first three parts.")
@click.option("--quickstarts", default=1, show_default=True, help="Repetitions of the quickstart.")
def main(parts: tuple[str, ...], rounds: int, quickstarts: int) -> None:
    """Print the times of the parts alone and beside others, with their ratios."""
    chosen = parts or PARTS
    print(f"{machine.about()}; load before {os.getloadavg()[0]:.1f}", flush=True)
    in_process = [part for part in chosen if part != "quickstart"]
    if in_process:
        time_parts(in_process, rounds)
    if "quickstart" in chosen:
        time_quickstart(quickstarts)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(*sys.argv[2:])
    else:
        main()

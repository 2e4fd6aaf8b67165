"""Seconds to a kNN accuracy on MNIST: experiments/mnist_fast.yaml by simssl, against one epoch of the paper's setting
by the loop that a user would write (`hand_written.py`).

Both are trained in full, one after the other, and measured by the same evaluator: k is selected on the validation
split, the accuracy is of the test split. `simssl run` is timed as a process, from its start to the metrics, and beside
it what of that was training; of the hand-written loop only training is timed. Run it
with: python benchmarks/time_to_accuracy.py --data DIR
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import machine
import torch
from hand_written import hand_written

from simssl.evaluation.evaluate import evaluate
from simssl.experiment.config import load_experiments
from simssl.experiment.model import Experiment
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.store.metrics import read_metrics
from simssl.training.build import build_run, load_data
from simssl.training.machine.device import choose_device
from simssl.training.records.trackers import Trackers
from simssl.training.train import trained_state

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
KNN = "evaluators=[{name: knn}]"
METRIC = "knn/class/accuracy"


def ours(data: Path, changes: tuple[str, ...], device: str = "auto") -> tuple[float, float, float]:
    """Seconds in all, seconds of training, and the accuracy."""
    file, settings = EXPERIMENTS / "mnist_fast.yaml", (KNN, *changes)
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "simssl", "run", str(file), "--data", str(data), "--runs", runs]
        command += ["--device", device]
        start = time.perf_counter()
        subprocess.run([*command, *(word for s in settings for word in ("-s", s))], check=True)
        seconds = time.perf_counter() - start
        (experiment,) = load_experiments(file, Registry(), settings)
        folder = RunFolder(Path(runs) / experiment.folder)
        return seconds, trained_state(folder)["seconds"], accuracy(experiment, folder)


def theirs(data: Path, device: torch.device, workers: int) -> tuple[float, float]:
    """Seconds of training for an epoch, and the accuracy after it."""
    registry = Registry()
    (experiment,) = load_experiments(EXPERIMENTS / "mnist_content.yaml", registry, ("grid={}", KNN, "trackers=[]"))
    built = build_run(experiment, registry, load_data(experiment.dataset, registry, data, _silent), device)
    train = hand_written(built, workers)
    start = time.perf_counter()
    train(len(built.data.train) // built.images_per_step)
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as path:
        folder = RunFolder(Path(path))
        evaluate(built, folder, experiment.evaluators, registry, Trackers({}, print))
        return seconds, accuracy(experiment, folder)


def accuracy(experiment: Experiment, folder: RunFolder) -> float:
    return float(read_metrics(folder)[METRIC]["value"])


def _silent(label: str, done: int, total: int) -> None:
    return


@click.command()
@click.option("--data", default="data", type=click.Path(path_type=Path), help="The folder that MNIST lies in.")
@click.option("--target", default=0.975, show_default=True, help="The accuracy to be reached.")
@click.option("--workers", default=2, show_default=True, help="Of the hand-written loop's DataLoader.")
@click.option("-s", "changes", multiple=True, help="A setting of mnist_fast.yaml to change, as for simssl run.")
def main(data: Path, target: float, workers: int, changes: tuple[str, ...]) -> None:
    """Train both, and print seconds and kNN accuracies."""
    device = choose_device("auto")
    print(f"{machine.about()}; {workers} workers", flush=True)
    whole, training, reached = ours(data, changes)
    epoch, after_epoch = theirs(data, device, workers)
    verdict = "reached" if reached >= target else "not reached"
    rows = (
        ("hand-written, an epoch of the paper's setting", epoch, after_epoch),
        ("simssl, mnist_fast.yaml, training", training, reached),
        ("simssl, mnist_fast.yaml, start to kNN", whole, reached),
    )
    for name, seconds, knn in rows:
        print(f"{name:46} {seconds:7.1f} s   kNN {knn:.4f}   ratio {epoch / seconds:.2f}")
    print(f"kNN of {target} by simssl: {verdict}")


if __name__ == "__main__":
    main()

"""MNIST: seconds from the command to a kNN accuracy with mnist_fast.yaml, then a slice of table 1.

The slice is an epoch of 600,000 views for each method of mnist_content.yaml, with a learning rate for it, and the MLP
probe for five epochs: what training and evaluation come to, not the published setting. In small sizes a few images in
MNIST's format stand for it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from random_images import EXPERIMENTS
from rows import Settings, begin, guarded, row, skip, wait
from time_to_accuracy import ours
from torchvision.datasets import MNIST

from simssl.api import Data
from simssl.blocks.images import write_idx_example
from simssl.evaluation.evaluate import evaluate
from simssl.experiment.config import load_experiments
from simssl.experiment.model import Experiment
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.store.metrics import read_metrics
from simssl.training.build import build_run, load_data
from simssl.training.records.trackers import Trackers
from simssl.training.stop import Stop
from simssl.training.train import train
from simssl.training.trainer import Trainer

FIRST = ("simvae", "simclr", "vae", "vicreg")
"""The methods that are measured first."""
SLICE = (
    "training.views=600000",
    "training.precision=bfloat16",
    "training.optimizer={name: adam, lr: 1e-3}",
    "training.schedule.name=cosine",
    "evaluators=[{name: knn}, {name: mlp_probe, epochs: 5}]",
    "trackers=[]",
)
TINY = ("training.views=1200", "backbone={name: mlp, hidden: [32]}")
LEAST = 8.0
"""Seconds that a method takes at most, about: with less left, none is begun."""


def main() -> None:
    settings = begin()
    with tempfile.TemporaryDirectory() as folder:
        data = settings.data
        if settings.tiny:
            data = Path(folder)
            write_idx_example(MNIST, data, images=200)
        elif not has_mnist(data):
            skip(f"no MNIST in {data}")
        with guarded("mnist_fast.yaml"):
            fast(data, settings)
        with guarded("the slice of table 1"):
            slice_of_table_1(data, settings)


def has_mnist(data: Path) -> bool:
    names = ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte")
    raw = data / "MNIST" / "raw"
    return all((raw / name).exists() or (raw / f"{name}.gz").exists() for name in names)


def fast(data: Path, settings: Settings) -> None:
    for precision in ("float32",) if settings.tiny else ("bfloat16", "float32"):
        changes = (f"training.precision={precision}", "trackers=[]", *(TINY if settings.tiny else ()))
        whole, training, reached = ours(data, changes, settings.device.type)
        facts = {"seconds": whole, "seconds_of_training": training}
        row(f"mnist_fast.yaml, {precision}: kNN", reached, "accuracy", goal="mnist-knn", **facts)


def slice_of_table_1(data: Path, settings: Settings) -> None:
    registry = Registry()
    changes = (*SLICE, *(TINY if settings.tiny else ()))
    experiments = load_experiments(EXPERIMENTS / "mnist_content.yaml", registry, changes, seed=0)
    loaded = load_data(experiments[0].dataset, registry, data, lambda label, done, total: None)
    for experiment in sorted(experiments, key=_order):
        name = experiment.objective.name
        if settings.left < LEAST:
            row(f"{name}, 600,000 views", skipped_for="no time left")
            continue
        with guarded(name):
            method(experiment, loaded, registry, settings)


def _order(experiment: Experiment) -> int:
    name = experiment.objective.name
    return FIRST.index(name) if name in FIRST else len(FIRST)


def method(experiment: Experiment, data: Data, registry: Registry, settings: Settings) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, trackers = RunFolder(Path(place)), Trackers({}, print)
        start = time.perf_counter()
        built = build_run(experiment, registry, data, settings.device)
        train(Trainer(built, folder), trackers, Stop())
        wait(settings.device)
        trained = time.perf_counter()
        evaluate(built, folder, experiment.evaluators, registry, trackers)
        evaluated = time.perf_counter()
        metrics = read_metrics(folder)
    row(
        f"{experiment.objective.name}, {experiment.training.views:,} views: kNN",
        metrics["knn/class/accuracy"]["value"],
        "accuracy",
        mlp_probe=metrics["mlp_probe/class/accuracy"]["value"],
        seconds_of_training=trained - start,
        seconds_of_evaluation=evaluated - trained,
    )


if __name__ == "__main__":
    main()

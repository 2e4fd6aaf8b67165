"""The runs that the parts train: their experiments and sizes, eager or captured."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from click.testing import CliRunner
from random_images import EXPERIMENTS, run_of, trainer_of
from rows import Settings
from torchvision.datasets import MNIST as MnistFiles

from simssl.blocks.images import write_idx_example
from simssl.cli import cli
from simssl.testing.recording import Recorder
from simssl.training.build import BuiltRun
from simssl.training.capture.cuda_graph import CudaGraphs
from simssl.training.capture.launcher import Captured, Graphs
from simssl.training.trainer import Trainer

MNIST, CIFAR10 = "mnist_content.yaml", "cifar10_content.yaml"
SHAPES = {MNIST: (60_000, 1, 28, 28), CIFAR10: (50_000, 3, 32, 32)}
NETWORKS = {MNIST: "MLP", CIFAR10: "ResNet-18"}
TINY_IMAGES = 240
TINY = {MNIST: ("backbone={name: mlp, hidden: [32]}",), CIFAR10: ("backbone={name: convnet, widths: [4, 8]}",)}
"""Small networks: their steps take milliseconds on a CPU."""
TINY_VIEWS = 40


def build(settings: Settings, file: str, objective: str, views: int, *changes: str) -> BuiltRun:
    """The run of an experiment's file on random images of its shape, with the objective and the views a step."""
    shape = SHAPES[file]
    if settings.tiny:
        shape = (TINY_IMAGES, *shape[1:])
        changes = (*TINY[file], *changes)
        views = min(views, TINY_VIEWS)
    of_step = (f"objective={objective}", f"training.batch_views={views}", "training.schedule={name: constant}")
    return run_of(file, shape, (*of_step, *changes), settings.device)


def command_line(settings: Settings, place: Path, runs: Path, *changes: str) -> list[str]:
    """The words of `simssl run` for the quickstart's networks, on a few images in MNIST's format in `place`.

    They need no download, and no library for the sake of data.
    """
    data = place / "data"
    if not data.exists():
        write_idx_example(MnistFiles, data, images=1200)
    words = ["run", str(EXPERIMENTS / "quickstart.yaml"), "--device", settings.device.type]
    words += ["--data", str(data), "--runs", str(runs)]
    for change in ("dataset={name: mnist}", "evaluators=[{name: knn}]", "trackers=[]", *changes):
        words += ["-s", change]
    return words


def run_here(words: list[str]) -> None:
    """Run `simssl ...` in this process. RuntimeError with the end of what it said if it fails."""
    result = CliRunner().invoke(cli, words, prog_name="simssl")
    if result.exit_code:
        raise RuntimeError((str(result.exception or "") + result.output)[-250:].replace("\n", " "))


def captured(built: BuiltRun) -> Trainer:
    """A trainer of captured steps: on CUDA as a graph, on a CPU recorded."""
    return trainer_of(built, graphs_of(built))


def graphs_of(built: BuiltRun) -> Graphs:
    """What captures steps and replays them."""
    if built.device.type == "cuda":
        return CudaGraphs(built.device, built.generator)
    return Recorder()


def eager(built: BuiltRun) -> Trainer:
    """A trainer of steps one by one."""
    trainer = trainer_of(built)
    trainer.graphs = None
    return trainer


def is_captured(trainer: Trainer) -> bool:
    """Whether the trainer, which has taken a step, replays what it has captured."""
    return isinstance(getattr(trainer, "_launch", None), Captured)


def train_until(trainer: Trainer, step: int) -> None:
    while trainer.step < step:
        trainer.train_step()


@contextmanager
def told() -> Iterator[list[str]]:
    """What simssl logs meanwhile: among it, why steps are not captured."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger("simssl"), Keep()
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def gibibytes(device: torch.device) -> float | None:
    """The most memory of the device that this process has had reserved; None on a CPU."""
    if device.type != "cuda":
        return None
    return round(torch.cuda.max_memory_reserved(device) / 2**30, 2)

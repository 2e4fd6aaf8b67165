"""What the benchmarks of training share: an experiment's single run on random images, and its steps."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from simssl.api import Data, Split
from simssl.experiment.config import load
from simssl.registry import Registry
from simssl.training.assemble import Assembly, assemble
from simssl.training.folder import RunFolder
from simssl.training.train import Trainer

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
ALONE = ("grid={}", "training.log_every=1000000", "evaluators=[]", "trackers=[]")
"""Of a run that is timed: nothing but its steps."""


def assembly_of(file: str, shape: Sequence[int], settings: Sequence[str], device: torch.device) -> Assembly:
    """The run of experiments/FILE with these settings, on images of the shape (N, C, H, W)."""
    (cell,) = load(EXPERIMENTS / file, Registry(), (*ALONE, *settings))
    data = Data.of(Split(torch.randint(0, 256, tuple(shape), dtype=torch.uint8)))
    return assemble(cell, Registry(), data, device)


def trainer_of(assembly: Assembly) -> Trainer:
    return Trainer(assembly, RunFolder(Path(tempfile.mkdtemp())))


def steps_of(assembly: Assembly) -> Callable[[int], int]:
    """Takes at least so many training steps, and returns how many: a captured launch takes several."""
    trainer = trainer_of(assembly)

    def steps(count: int) -> int:
        begun = trainer.step
        while trainer.step < begun + count:
            trainer.train_step()
        return trainer.step - begun

    return steps

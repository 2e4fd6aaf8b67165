"""What the benchmarks of training share: an experiment's single run on random images, its steps, the objectives."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from simssl.api import Data, Split
from simssl.experiment.config import load_experiments
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.training.build import BuiltRun, build_run
from simssl.training.capture.launcher import Graphs
from simssl.training.trainer import Trainer

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
ALONE = ("grid={}", "training.log_every=1000000", "evaluators=[]", "trackers=[]")
"""Of a run that is timed: nothing but its steps."""


def trained() -> list[str]:
    """The objectives that are trained."""
    registry = Registry(builtins_only=True)
    names = [plugin.name for plugin in registry.plugins("objective")]
    return sorted(name for name in names if registry.load("objective", name).trained)


def run_of(file: str, images: Data | Sequence[int], settings: Sequence[str], device: torch.device) -> BuiltRun:
    """The run of experiments/FILE with these settings, on this data, or on random images of the shape (N, C, H, W)."""
    (experiment,) = load_experiments(EXPERIMENTS / file, Registry(), (*ALONE, *settings))
    data = images if isinstance(images, Data) else _random_data(tuple(images))
    return build_run(experiment, Registry(), data, device)


@functools.lru_cache(maxsize=2)
def _random_data(shape: tuple[int, ...]) -> Data:
    """Images of this shape, which are drawn once."""
    return Data.of(Split(torch.randint(0, 256, shape, dtype=torch.uint8)))


def trainer_of(built: BuiltRun, graphs: Graphs | None = None) -> Trainer:
    return Trainer(built, RunFolder(Path(tempfile.mkdtemp())), graphs)


def steps_of(built: BuiltRun) -> Callable[[int], int]:
    """Takes at least so many training steps, and returns how many: a captured launch takes several."""
    return steps_by(trainer_of(built))


def steps_by(trainer: Trainer) -> Callable[[int], int]:
    """The same, by this trainer."""

    def steps(count: int) -> int:
        begun = trainer.step
        while trainer.step < begun + count:
            trainer.train_step()
        return trainer.step - begun

    return steps

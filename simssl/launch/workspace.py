"""The workspace that all runs of a command share: plugins, folders, a device, loaded data, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from simssl.api import Data
from simssl.experiment.model import Choice, Experiment
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.training.build import load_data
from simssl.training.records.estimate import Estimates

Say = Callable[[str], None]
"""Tells the user a sentence."""


@dataclass
class Workspace:
    """The folders of runs and data, the device, and the plugins. Data sets that are loaded stay loaded."""

    registry: Registry
    runs: Path
    data: Path
    device: str = "auto"
    say: Say = print
    warn: Say = print
    threads: int = field(default_factory=torch.get_num_threads)
    """The number of threads that a new run begins with. A run that was begun keeps its own number."""
    jobs: int = 1
    """The number of runs that the command works on at a time."""
    estimates: Estimates = field(init=False)
    """Says what the training of a run will take."""
    _loaded: dict[str, Data] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.estimates = Estimates(self.say)

    def folder(self, experiment: Experiment) -> RunFolder:
        """The folder of the experiment's run."""
        return RunFolder(self.runs / experiment.folder)

    def load_data(self, choice: Choice) -> Data:
        """The data set that is chosen, loaded once; UserError says what to put where if it cannot be had."""
        key = repr(choice.resolved)
        if key not in self._loaded:
            self._loaded[key] = load_data(choice, self.registry, self.data, self.progress())
        return self._loaded[key]

    def forget_data(self) -> None:
        """Give back the memory of the data sets that are loaded."""
        self._loaded.clear()

    def progress(self) -> Callable[[str, int, int], None]:
        """A function that a slow step reports to: it tells a line at each tenth of the step."""
        told: set[tuple[str, int]] = set()

        def progress(label: str, done: int, total: int) -> None:
            tenth = (label, 10 * done // max(1, total))
            if tenth not in told:
                told.add(tenth)
                self.say(f"{label}: {done:,}/{total:,}")

        return progress

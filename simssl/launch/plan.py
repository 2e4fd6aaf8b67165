"""How many runs go side by side where the user has not said it, and with how many threads each.

A run's number of threads decides how its sums are rounded. So it follows from the file and the number of cores alone,
and never from what else the machine does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from simssl.errors import SimsslError
from simssl.experiment.model import Experiment
from simssl.launch.run import PlannedRun
from simssl.launch.workspace import Workspace
from simssl.training.build import BuiltRun, build_run
from simssl.training.contract import frozen

FULL = 2e9
"""Operations of a step that give one core enough to do: 30 to 100 milliseconds. Ours."""

OTHERS = 4e7
"""Operations that take as long as what a step does besides its networks: views, the optimiser, Python. Ours."""

SHORT = 4e11
"""Operations of all runs of a file that take about as long as the start of workers pays for: 10 to 20 seconds. Ours."""

WORKER = 10**9
"""Bytes that a worker takes besides its data: torch, the networks and a step's activations. Measured on MNIST."""


@dataclass(frozen=True)
class Plan:
    """How the runs of a command share the machine."""

    jobs: int
    """Runs at a time."""
    threads: int
    """Threads of each."""


@dataclass(frozen=True)
class Size:
    """The size of a run's work."""

    steps: int
    operations: float
    """Additions and multiplications of the networks in a step, about."""
    data_bytes: int
    """Bytes of the images that each process has for itself."""


def asked(jobs: int, runs: Sequence[PlannedRun], workspace: Workspace) -> Plan:
    """Return the plan for so many jobs, and for no more than there are runs in the file."""
    jobs = min(jobs, len(runs))
    threads = max(1, workspace.threads // jobs)
    return Plan(jobs, threads)


def planned(sizes: Sequence[Size], threads: int, free_bytes: float) -> Plan:
    """Return the plan for runs of these sizes, all of a file, on a CPU with so many threads.

    Runs that do not fill the machine go side by side, as many as there are threads for. What memory does not suffice
    for waits, and has the threads that it would have had.
    """
    one = Plan(1, threads)
    total = sum(size.steps * (size.operations + OTHERS) for size in sizes)
    if total < SHORT:
        return one
    largest = max(size.operations for size in sizes)
    filled = max(1, math.ceil(largest / FULL))
    jobs = min(len(sizes), threads // filled)
    if jobs < 2:
        return one
    needed = WORKER + max(size.data_bytes for size in sizes)
    at_a_time = math.floor(min(jobs, free_bytes / needed))
    return Plan(max(1, at_a_time), threads // jobs)


def size_if_built(experiment: Experiment, workspace: Workspace) -> Size:
    """Return the size of a run that is done. It counts as nothing if it cannot be built any more."""
    try:
        data = workspace.load_data(experiment.dataset)
        built = build_run(experiment, workspace.registry, data, torch.device("cpu"))
    except SimsslError:
        return Size(steps=0, operations=0, data_bytes=0)
    return size_of(built)


def size_of(built: BuiltRun) -> Size:
    """Return the size of a run. The operations of its encoder are counted on two images."""
    from torch.utils.flop_counter import FlopCounterMode  # it takes a tenth of a second

    operations = 0.0
    if built.steps:
        x_2CHW = torch.zeros(2, *built.views.shape)
        with frozen(built.objective), FlopCounterMode(display=False) as counter:
            built.objective.posterior(x_2CHW)
        networks = 2 if built.objective.decodes else 1
        ways = 3  # forwards, and backwards to the weights and to the activations
        operations = counter.get_total_flops() / 2 * networks * ways * built.views_per_step
    return Size(built.steps, operations, _bytes(built))


def _bytes(built: BuiltRun) -> int:
    """Return the bytes of the images. Memory-mapped ones, whose digest is known, do not count: processes share them."""
    size = 0
    for split in (built.data.train, built.data.test):
        if split is not None and split.digest is None:
            size += split.images.nbytes
    return size

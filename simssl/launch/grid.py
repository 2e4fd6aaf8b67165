"""All runs of an experiment file, one after the other or several at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from simssl.blocks.distributed import rank
from simssl.errors import SimsslError, UserError, free_memory
from simssl.evaluation.evaluate import check_choice
from simssl.experiment.model import Experiment
from simssl.launch.changed_data import tell_of_changed_data
from simssl.launch.jobs import side_by_side
from simssl.launch.plan import Plan, Size, asked, planned, size_if_built, size_of
from simssl.launch.run import Outcome, PlannedRun, announce, is_done, start
from simssl.launch.shared import share
from simssl.launch.while_training import check_while_training
from simssl.launch.workspace import Workspace
from simssl.store.progress import note_failure
from simssl.training.build import build_run
from simssl.training.machine.device import choose_device
from simssl.training.machine.precision import require_repeatable
from simssl.training.stop import Stop


def run_all(
    experiments: Sequence[Experiment],
    workspace: Workspace,
    fresh: bool = False,
    jobs: int | None = None,
    only: int | None = None,
) -> list[Outcome]:
    """Train and measure every run that is not done, `jobs` at a time. A failed run does not stop the others.

    None lets as many as fit go side by side where one does not fill the machine. Runs that another process holds come
    last, when it has let go of them. `only` is the number of the one run to work on, from 1.

    UserError before anything is trained if a run cannot be built; Interrupted on SIGINT or SIGTERM.
    """
    if only is None:
        return _run(range(1, len(experiments) + 1), experiments, workspace, fresh, jobs)
    try:
        return _run((only,), experiments, workspace, fresh, jobs)
    except SimsslError as error:  # a cluster's task has nobody else to tell
        note_failure(workspace.folder(experiments[only - 1]), str(error))
        raise


def require_number(only: int, runs: int, file: Path) -> None:
    """UserError if a file has no run of this number."""
    if only > runs:
        count = "1 run" if runs == 1 else f"{runs:,} runs"
        raise UserError(
            f"--only {only}: {file} has {count}, whose numbers begin with 1; simssl status {file} lists them"
        )


def _run(
    numbers: Sequence[int], experiments: Sequence[Experiment], workspace: Workspace, fresh: bool, jobs: int | None
) -> list[Outcome]:
    device = choose_device(workspace.device)
    runs = planned_runs(numbers, experiments, workspace, fresh)
    unfinished = [run.experiment for run in runs if not run.done]
    with Stop() as stop:
        by_size = jobs is None and len(runs) > 1 and device.type == "cpu"
        sizes = check_all(unfinished, workspace, device, by_size)
        tell_of_changed_data(runs, workspace)
        plan = asked(jobs, runs, workspace) if jobs else _plan(runs, sizes, workspace)

        def work(runs: Sequence[PlannedRun]) -> list[Outcome]:
            if plan == Plan(1, workspace.threads):
                return [_start_or_skip(run, workspace, device, stop) for run in runs]
            return side_by_side(runs, workspace, plan, stop)

        return share(runs, work, workspace.say)


def planned_runs(
    numbers: Sequence[int], experiments: Sequence[Experiment], workspace: Workspace, fresh: bool
) -> list[PlannedRun]:
    """The runs of these numbers, with what messages call them, and whether they are done."""
    count = len(experiments)
    runs: list[PlannedRun] = []
    for number in numbers:
        experiment = experiments[number - 1]
        label = f"[{number}/{count}] {experiment.objective.name}, seed {experiment.seed}"
        folder = workspace.folder(experiment)
        done = not fresh and is_done(experiment, folder)
        runs.append(PlannedRun(label, experiment, folder, fresh=fresh, done=done))
    return runs


def _start_or_skip(run: PlannedRun, workspace: Workspace, device: torch.device, stop: Stop) -> Outcome:
    announce(run, workspace)
    if run.done:
        return Outcome(run.folder.path, "already done")
    return start(run, workspace, device, stop)


def _plan(runs: Sequence[PlannedRun], sizes: Sequence[Size], workspace: Workspace) -> Plan:
    """Return the plan for a file whose unfinished runs have these sizes. The others count, too.

    So a run has the same number of threads whatever is done already. Without sizes it is one run at a time.
    """
    if not sizes:
        return Plan(1, workspace.threads)
    others = [size_if_built(run.experiment, workspace) for run in runs if run.done]
    return planned([*sizes, *others], workspace.threads, free_memory())


def check_all(
    experiments: Sequence[Experiment], workspace: Workspace, device: torch.device, by_size: bool = False
) -> list[Size]:
    """Build every run once, so that what cannot work, or will be skipped, is said before anything is trained.

    Runs that differ in their seed alone are built once for all. Return their sizes if they are asked for. All is built
    on the CPU. With several jobs this process never opens the device.
    """
    skipped: dict[str, None] = {}
    checked: dict[str, Size | None] = {}
    sizes: list[Size] = []
    for experiment in experiments:
        settings = repr({**experiment.resolved, "seed": None})
        if settings not in checked:
            checked[settings] = _check(experiment, workspace, device, by_size, skipped)
        size = checked[settings]
        if size is not None:
            sizes.append(size)
    if rank() == 0:  # which writes
        for experiment in experiments:
            workspace.folder(experiment).create()
    for sentence in skipped:
        workspace.say(sentence)
    return sizes


def _check(
    experiment: Experiment, workspace: Workspace, device: torch.device, by_size: bool, skipped: dict[str, None]
) -> Size | None:
    """Build a run. Its size is returned if it is asked for. What will be skipped is added to `skipped`."""
    require_repeatable(experiment, device)
    data = workspace.load_data(experiment.dataset)
    built = build_run(experiment, workspace.registry, data, torch.device("cpu"))
    for choice in experiment.evaluators:
        reason = check_choice(choice, built, workspace.registry, workspace.load_data)
        if reason is not None:
            skipped[f"{choice.label} will be skipped: {reason}"] = None
    check_while_training(experiment, built, workspace, skipped)
    return size_of(built) if by_size else None

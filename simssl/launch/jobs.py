"""Several runs at once: worker processes on this machine, each with its share of the threads and of the devices."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait

from simssl.errors import Interrupted
from simssl.launch.devices import devices_to_share
from simssl.launch.job import Job
from simssl.launch.plan import Plan
from simssl.launch.run import Outcome, PlannedRun, announce
from simssl.launch.worker import Setup
from simssl.launch.workspace import Say, Workspace
from simssl.training.stop import Stop

SECONDS = 0.2
"""The longest time until a signal is passed on, or the sudden end of a worker is noticed."""


def side_by_side(runs: Sequence[PlannedRun], workspace: Workspace, plan: Plan, stop: Stop) -> list[Outcome]:
    """Train and measure the runs that are not done, as many at a time as planned. Return the outcome of each run.

    A run that fails, or whose process is killed, does not stop the others. Interrupted on a signal, when the runs under
    way are saved; on a second signal at once.
    """
    jobs = plan.jobs
    setup = share(workspace, plan)
    devices = devices_to_share(workspace.device)[:jobs]
    if not all(run.done for run in runs):
        over = f" on {len(devices)} devices" if len(devices) > 1 else ""
        plural = "s" if setup.threads > 1 else ""
        runs_at_a_time = f"{jobs} runs" if jobs > 1 else "1 run"
        workspace.say(f"{runs_at_a_time} at a time{over}, with {setup.threads} thread{plural} each")
    workspace.forget_data()  # each worker has its own
    outcomes: dict[int, Outcome] = {}
    waiting: deque[int] = deque()
    for number, run in enumerate(runs):
        if run.done:
            announce(run, workspace)
            outcomes[number] = Outcome(run.folder.path, "already done")
        else:
            waiting.append(number)
    team: list[Job] = []
    try:
        with stop.deferred():
            while True:
                while waiting and stop.signum is None:
                    job = _free(team, jobs, setup, devices, workspace.say)
                    if job is None:
                        break
                    number = waiting.popleft()
                    announce(runs[number], workspace)
                    job.begin(number, runs[number], workspace.registry)
                busy = [job for job in team if job.busy]
                if not busy:
                    break
                _attend(busy, outcomes, stop)
                if not waiting:
                    _let_go(team)
    except Interrupted:
        for job in team:
            job.kill()
        raise
    finally:
        for job in team:
            job.end()
    assert len(outcomes) == len(runs), "a run has no outcome"
    return [outcomes[number] for number in range(len(runs))]


def share(workspace: Workspace, plan: Plan) -> Setup:
    """Return what each worker is to use."""
    registry = workspace.registry
    files = tuple(path.resolve() for path in registry.files)
    return Setup(
        builtins_only=registry.builtins_only,
        files=files,
        runs=workspace.runs,
        data=workspace.data,
        device=workspace.device,
        threads=plan.threads,
        jobs=plan.jobs,
    )


def _free(team: list[Job], jobs: int, setup: Setup, devices: Sequence[str], say: Say) -> Job | None:
    """Return a worker without a run, a new one if there are fewer than `jobs`; None if all have one."""
    team[:] = [job for job in team if job.busy or job.alive]
    for job in team:
        if not job.busy:
            return job
    if len(team) == jobs:
        return None
    if devices:
        setup = replace(setup, visible=_next_device(team, devices))
    job = Job(setup, say)
    team.append(job)
    return job


def _next_device(team: Sequence[Job], devices: Sequence[str]) -> str:
    """Return the first of the devices that the fewest workers have. That is a dead worker's, if one has died."""
    taken = [job.setup.visible for job in team]
    return min(devices, key=taken.count)


def _let_go(team: Sequence[Job]) -> None:
    """Let the workers without a run go."""
    for job in team:
        if not job.busy:
            job.leave()


def _attend(busy: Sequence[Job], outcomes: dict[int, Outcome], stop: Stop) -> None:
    """Pass on a signal to the workers, wait for what they say, and pass it on."""
    if stop.signum is not None:
        for job in busy:
            job.signal(stop.signum)
    streams: list[Connection] = []
    for job in busy:
        streams += job.streams
    wait(streams, SECONDS)
    for job in busy:
        outcome = job.outcome()
        if outcome is not None:
            outcomes[job.number] = outcome

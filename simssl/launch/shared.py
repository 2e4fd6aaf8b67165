"""A grid that several commands share: each works on the runs that are free, and waits for those of the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from simssl.launch.run import Outcome, PlannedRun, is_done
from simssl.launch.workspace import Say

SECONDS = 1.0
"""Time between two looks at whether the others have let go of a run."""

Work = Callable[[Sequence[PlannedRun]], list[Outcome]]
"""Trains and measures runs, and returns the outcome of each. It leaves out those that others hold."""


def share(runs: Sequence[PlannedRun], work: Work, say: Say) -> list[Outcome]:
    """Work on the runs, and in the end on those that others held, once they have let go of them.

    A run that another has finished meanwhile is done already. One whose holder has died goes on here.
    """
    began = time.time()
    outcomes = dict(enumerate(work(runs)))
    told: set[int] = set()
    while held := [number for number, outcome in outcomes.items() if outcome.status == "held"]:
        if not told.issuperset(held):
            told.update(held)
            say(_waiting([runs[number] for number in held]))
        free = _await(runs, held)
        again = [_planned_again(runs[number], began) for number in free]
        outcomes.update(zip(free, work(again), strict=True))
    return [outcomes[number] for number in range(len(runs))]


def _waiting(runs: Sequence[PlannedRun]) -> str:
    names = ", ".join(run.folder.path.name for run in runs)
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    return f"waiting for {count} of other processes (what they leave unfinished goes on here): {names}"


def _await(runs: Sequence[PlannedRun], held: Sequence[int]) -> list[int]:
    """Wait until nobody holds one of these runs any more. Return the numbers of those that are free."""
    while True:
        free = [number for number in held if not runs[number].folder.is_held()]
        if free:
            return free
        time.sleep(SECONDS)


def _planned_again(run: PlannedRun, began: float) -> PlannedRun:
    """The run, which may be done by now. With --fresh it has to be trained since this command began."""
    done = is_done(run.experiment, run.folder)
    if run.fresh and done:
        checkpoint = run.folder.checkpoint
        done = checkpoint.exists() and checkpoint.stat().st_mtime >= began
    return replace(run, done=done)

"""Runs that are done, and the data that is there now."""

from __future__ import annotations

from collections.abc import Sequence

from simssl.blocks.images import no_downloads
from simssl.errors import SimsslError
from simssl.experiment.model import Choice
from simssl.launch.run import PlannedRun
from simssl.launch.workspace import Workspace
from simssl.store.checkpoint import load_state
from simssl.store.folder import RunFolder
from simssl.store.metrics import measured_on
from simssl.training.weights import on_other_data


def tell_of_changed_data(runs: Sequence[PlannedRun], workspace: Workspace) -> None:
    """Say which of the runs that are done are of other data than is there now.

    Data that is not there, or cannot be read, is not compared: a run that is done needs none.
    """
    there: dict[str, str | None] = {}
    for run in runs:
        if not run.done:
            continue
        choice = run.experiment.dataset
        key = repr(choice.resolved)
        if key not in there:
            there[key] = _fingerprint(choice, workspace)
        now = there[key]
        trained_on = _trained_on(run.folder)
        if now and trained_on and now != trained_on:
            workspace.say(on_other_data(run.folder, trained_on, now))


def _fingerprint(choice: Choice, workspace: Workspace) -> str | None:
    try:
        with no_downloads():
            return workspace.load_data(choice).fingerprint
    except SimsslError:
        return None


def _trained_on(folder: RunFolder) -> str | None:
    """The fingerprint of a run's data, as its numbers tell it; where it has none, as its checkpoint does."""
    try:
        measured = measured_on(folder)
        if measured:
            return min(measured)
        state = load_state(folder.checkpoint)
    except SimsslError:
        return None
    return state["data"] if state else None

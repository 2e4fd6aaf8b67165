"""The weights of a checkpoint, given to the networks of a run."""

from __future__ import annotations

import torch

from simssl.errors import RunError
from simssl.store import checkpoint
from simssl.store.checkpoint import State
from simssl.store.folder import RunFolder
from simssl.training.build import BuiltRun


def restore_weights(built: BuiltRun, folder: RunFolder, state: State) -> None:
    """Restore the weights and the number of threads.

    RunError if they are of other data or of other networks, or are not finite.
    """
    there = built.data.fingerprint
    if state["data"] != there:
        raise RunError(on_other_data(folder, state["data"], there))
    torch.set_num_threads(state["threads"])
    with checkpoint.fitting(folder.checkpoint):
        checkpoint.require_finite(state, folder.checkpoint)
        built.objective.load_state_dict(state["objective"])


def on_other_data(folder: RunFolder, trained_on: str, there: str) -> str:
    """The sentence for a run whose data is not what is there. Both are fingerprints."""
    return (
        f"{folder.path} was trained on other data (fingerprint {trained_on}, not {there}); name the folder of that "
        "data with --data, or train anew with `simssl run ... --fresh`"
    )

"""The weights of a checkpoint, given to the networks of a run."""

from __future__ import annotations

import torch

from simssl.errors import RunError
from simssl.store import checkpoint
from simssl.store.checkpoint import State
from simssl.store.folder import RunFolder
from simssl.training.build import BuiltRun


def restore_weights(built: BuiltRun, folder: RunFolder, state: State) -> None:
    """Restore the weights and the number of threads. RunError if they are of other data or of other networks."""
    if state["data"] != built.data.fingerprint:
        raise RunError(
            f"{folder.path} was trained on other data (fingerprint {state['data']}, not {built.data.fingerprint}); "
            "name the folder of that data with --data, or train anew with `simssl run ... --fresh`"
        )
    torch.set_num_threads(state["threads"])
    with checkpoint.fitting(folder.checkpoint):
        built.objective.load_state_dict(state["objective"])

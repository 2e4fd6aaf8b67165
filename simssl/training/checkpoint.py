"""A run's state on disk: written atomically, exact to resume, and loaded without unpickling code."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simssl.errors import RunError
from simssl.training.folder import write_whole

State = dict[str, Any]
"""Tensors, numbers, strings, lists and plain dicts, so that `torch.load(weights_only=True)` reads them."""


def save(path: Path, state: State) -> None:
    """Replace the checkpoint by this state, or leave it as it was and raise RunError."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(path, buffer.getvalue())


def load(path: Path, digest: str | None = None) -> State | None:
    """The saved state; None if there is none, RunError if it is damaged, or not of the run with this digest."""
    if not path.exists():
        return None
    remedy = "move it away, or start again with --fresh; nothing was changed"
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not compare the checksums
            if archive.testzip() is not None:
                raise ValueError("its checksums do not match its content")
        state: State = torch.load(path, map_location="cpu", weights_only=True)
        found = state["digest"]
    except Exception as error:  # torch raises what it likes on a damaged file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RunError(f"the checkpoint {path} is damaged ({reason}); {remedy}") from error
    if digest not in (None, found):
        raise RunError(f"the checkpoint {path} belongs to another run (its settings differ); {remedy}")
    return state


def random_states() -> State:
    """The states of the default generators of Python, NumPy and torch, for code that ignores ours."""
    version, internal, gauss = random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    assert isinstance(numpy_state, dict)
    return {
        "python": [version, list(internal), gauss],
        "numpy": [
            numpy_state["state"]["key"].tolist(),
            int(numpy_state["state"]["pos"]),
            int(numpy_state["has_gauss"]),
            float(numpy_state["gauss"]),
        ],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(state: State) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])

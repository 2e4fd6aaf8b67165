"""The global random state: Python's, NumPy's and torch's default generators."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from simssl.training.build import seed_everything


@contextmanager
def leaves_global_randomness(seed: int, instead: str) -> Iterator[None]:
    """Seed the global generators, which are afterwards as they were; AssertionError if what is done draws from them.

    `instead` says what to draw from. What draws and puts the state back is found with two seeds: results differ.
    """
    before = _get()
    seed_everything(seed)
    seeded = _get()
    try:
        yield
        used = [name for name, state in _get().items() if pickle.dumps(state) != pickle.dumps(seeded[name])]
    finally:
        random.setstate(before["Python"])
        np.random.set_state(before["NumPy"])
        torch.set_rng_state(torch.from_numpy(before["torch"]))
    assert not used, f"the default generator of {' and '.join(used)} was used; draw from {instead}"


def _get() -> dict[str, Any]:
    return {
        "Python": random.getstate(),
        "NumPy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state().numpy(),
    }

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
    """Seed the global generators, and restore them afterwards. AssertionError if the block has drawn from them.

    `instead` says what to draw from. A block that draws and restores the state itself is not seen. Run it with two
    seeds: its results differ.
    """
    before = _state()
    seed_everything(seed)
    seeded = _bytes()
    try:
        yield
        after = _bytes()
    finally:
        random.setstate(before["Python"])
        np.random.set_state(before["NumPy"])
        torch.set_rng_state(torch.from_numpy(before["torch"]))
    used = [name for name in seeded if after[name] != seeded[name]]
    assert not used, f"the default generator of {' and '.join(used)} was used; draw from {instead}"


def _state() -> dict[str, Any]:
    return {
        "Python": random.getstate(),
        "NumPy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state().numpy(),
    }


def _bytes() -> dict[str, bytes]:
    """The state of each generator, to compare."""
    return {name: pickle.dumps(state) for name, state in _state().items()}

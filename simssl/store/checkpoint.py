"""A run's state on disk: written atomically, exact to resume, and loaded without unpickling code."""

from __future__ import annotations

import io
import pickle
import random
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simssl.blocks.files import read_within, write_whole
from simssl.errors import RunError
from simssl.store.state import State, check_form

REMEDY = "move it away, or start again with --fresh; nothing was changed"
"""The end of the sentences about a checkpoint that cannot be used."""


def save_state(path: Path, state: State) -> None:
    """Replace the checkpoint by this state. If it cannot be written, it stays as it was; RunError says why."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(path, buffer.getvalue())


def load_state(path: Path, digest: str | None = None) -> State | None:
    """Return the saved state, or None if there is none.

    RunError if the file is damaged, or if it belongs to another run than the one with this digest.
    """
    content = content_of(path)
    return None if content is None else state_in(content, path, digest)


def content_of(path: Path) -> bytes | None:
    """Return the bytes of a checkpoint, or None if there is none. RunError if it cannot be read."""
    try:
        return read_within(path, sys.maxsize)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"the checkpoint {path} cannot be read ({error.strerror})") from error


def state_in(content: bytes, path: Path, digest: str | None = None) -> State:
    """Return the state in the bytes of the checkpoint at this path. The errors are those of `load_state`."""
    try:
        state = _parse(content)
    except Exception as error:  # torch raises what it likes on a damaged file
        raise RunError(f"the checkpoint {path} is damaged ({_why(error)}); {REMEDY}") from error
    if digest is not None and digest != state["digest"]:
        raise RunError(f"the checkpoint {path} belongs to another run (its settings differ); {REMEDY}")
    return state


def _parse(content: bytes) -> State:
    """Return the state in a checkpoint's bytes; ValueError, or what torch raises, if they are damaged."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        _check_size(archive, len(content))
        if archive.testzip() is not None:  # torch does not compare the checksums
            raise ValueError("its checksums do not match its content")
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return check_form(state)


def _check_size(archive: zipfile.ZipFile, size: int) -> None:
    """ValueError if the archive would become larger than it is. Nothing is compressed in those that simssl writes."""
    entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if compressed or unpacked > size:
        raise ValueError(f"it would unpack to {unpacked:,} bytes, and has {size:,}")


def _why(error: Exception) -> str:
    """The reason in a line. torch's own words about objects of other kinds say how to load them all the same."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds something else than tensors, numbers, text, lists and mappings, and nothing else is loaded"
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Turn the errors of a state that does not fit into RunError.

    A state does not fit, for example, the networks of another version of a plugin.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RunError(
            f"the checkpoint {path} does not fit the run; perhaps another version of a plugin made it ({reason}). "
            f"To go on, {REMEDY}"
        ) from error


def not_finite(weights: Mapping[str, Any]) -> list[str]:
    """The names of the weights that hold something that is not a number, or is infinite."""
    return [name for name, value in weights.items() if not bool(torch.as_tensor(value).isfinite().all())]


def require_finite(state: State, path: Path) -> None:
    """Raise RunError if a weight is not a number, or is infinite. Nothing good can come of such a checkpoint."""
    wrong = not_finite(state["objective"])
    if wrong:
        raise RunError(f"the checkpoint {path} has weights that are not finite ({wrong[0]} first); {REMEDY}")


def require_device(state: State, run: Path, device: torch.device) -> None:
    """Raise RunError if the run was begun on another kind of device."""
    begun = state["device"]
    if begun != device.type:
        raise RunError(
            f"{run} was begun on {begun} and cannot go on exactly on {device.type}; give --device {begun}, or start "
            "again with --fresh"
        )


def require_precision(state: State, run: Path, precision: str, asked: str) -> None:
    """Raise RunError if the run's steps were in another precision so far.

    `asked` is what the experiment says. It is the same as before, but this machine may compute it in another precision.
    """
    begun = state["precision"]
    if begun != precision:
        raise RunError(
            f"{run} was begun in {begun} and cannot go on exactly in {precision}, which is what {asked} is on this "
            "machine; go on with it where it was begun, or start again with --fresh"
        )


def random_states(device: torch.device) -> State:
    """The states of the default generators of Python, NumPy and torch. Code that ignores our generator uses them."""
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
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def restore_random_states(state: State, device: torch.device) -> None:
    """Put the default generators back into the states that `random_states` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    key, position, has_gauss, cached = state["numpy"]
    key_array = np.array(key, dtype=np.uint32)
    np.random.set_state(("MT19937", key_array, position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)

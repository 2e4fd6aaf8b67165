"""Features in a file, with a checksum of them and of what they were made of.

The file is NumPy's, and `numpy.load` reads it. The checksum stands behind the array, where NumPy does not look.
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from simssl.blocks.files import read_within
from simssl.store.folder import RunFolder

MARK = b"sha256:"
"""The beginning of what stands behind the array."""


def weights_digest(module: nn.Module) -> str:
    """The SHA-256 of a module's parameters and buffers, and of their names."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, Tensor):
            values_P = value.cpu().contiguous().flatten()
            digest.update(values_P.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_features(folder: RunFolder, file: Path, features_ND: Tensor, made_of: str) -> None:
    """Write the features to a file in the run's folder. `made_of` is what they depend on, as text."""
    buffer = io.BytesIO()
    np.save(buffer, features_ND.numpy())
    array = buffer.getvalue()
    folder.write(file, array + _checksum(array, made_of))


def load_features(file: Path, made_of: str) -> Tensor | None:
    """The features (N, D) in a file; None if it is not there, is damaged, or was made of something else."""
    try:
        content = read_within(file, sys.maxsize)
    except OSError:
        return None
    length = len(content) - len(_checksum(b"", made_of))
    array = content[: max(length, 0)]
    if content[len(array) :] != _checksum(array, made_of):
        return None
    return torch.from_numpy(np.load(io.BytesIO(array)))


def _checksum(array: bytes, made_of: str) -> bytes:
    digest = hashlib.sha256(made_of.encode())
    digest.update(array)
    return MARK + digest.hexdigest().encode()

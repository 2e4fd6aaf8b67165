"""What `simssl --version` says, without importing what it says it of."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from pathlib import Path

import simssl
from simssl.compatibility import API_VERSION


def versions() -> str:
    """The versions of simssl, of what plugins are written against, of Python, torch and the CUDA that torch is for."""
    ours = f"simssl {simssl.__version__} (simssl.api {API_VERSION}), Python {platform.python_version()}"
    try:
        torch = importlib.metadata.distribution("torch")
    except importlib.metadata.PackageNotFoundError:
        return f"{ours}, torch is not installed"
    return f"{ours}, torch {torch.version.partition('+')[0]}, {_cuda(torch)}"


def _cuda(torch: importlib.metadata.Distribution) -> str:
    """From the text of torch/version.py, where the build leaves it."""
    try:
        text = Path(str(torch.locate_file("torch/version.py"))).read_text(encoding="utf-8")
    except OSError as error:
        return f"CUDA unknown: {error.filename} cannot be read"
    found = re.search(r"^cuda\b[^=\n]*= *'([^'\n]+)'", text, re.M)
    return f"CUDA {found[1]}" if found else "without CUDA"

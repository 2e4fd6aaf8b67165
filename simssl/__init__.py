"""simssl: what does a self-supervised method keep of the data, and what does it throw away?

Importing this package loads nothing heavy. These names are loaded on first use: `load` (it loads a trained run, with
torch), and for plugins `Params` and `added` (with pydantic) and `hookimpl` (with pluggy).
"""

import os
from typing import TYPE_CHECKING, Any

from simssl.version import __version__

__all__ = ["Params", "__version__", "added", "hookimpl", "load"]

# torch reads it once in a process, at the first product on CUDA, and refuses deterministic products without it.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

if TYPE_CHECKING:
    from simssl.evaluation.trained import load_trained as load
    from simssl.params import Params, added
    from simssl.plugin.hooks import hookimpl


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name in ("Params", "added"):
        from simssl import params

        return getattr(params, name)
    if name == "hookimpl":
        from simssl.plugin.hooks import hookimpl

        return hookimpl
    if name == "load":
        from simssl.evaluation.trained import load_trained

        return load_trained
    raise AttributeError(f"module 'simssl' has no attribute {name!r}")

"""simssl: what does a self-supervised method keep of the data, and what does it throw away?

Importing this package loads nothing heavy; `load` (a trained run, with torch), `Params` (pydantic) and `hookimpl`
(pluggy), which a plugin uses, come on first use.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Params", "__version__", "hookimpl", "load"]

if TYPE_CHECKING:
    from simssl.experiment.params import Params
    from simssl.hookspecs import hookimpl
    from simssl.measurement.trained import load


def __getattr__(name: str) -> Any:
    if name == "Params":
        from simssl.experiment.params import Params

        return Params
    if name == "hookimpl":
        from simssl.hookspecs import hookimpl

        return hookimpl
    if name == "load":
        from simssl.measurement.trained import load

        return load
    raise AttributeError(f"module 'simssl' has no attribute {name!r}")

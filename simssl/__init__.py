"""simssl: what does a self-supervised method keep of the data, and what does it throw away?

Importing this package loads nothing heavy; `load` (a trained run, with torch), `Params` (pydantic) and `hookimpl`
(pluggy), which a plugin uses, come on first use.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

API_VERSION = 4
"""Of `simssl.api`, of the hooks and of `simssl.blocks`: raised by each change that breaks plugins, and by nothing else.
`simssl.plugin.versions` lists the changes."""

__all__ = ["API_VERSION", "Params", "__version__", "hookimpl", "load"]

if TYPE_CHECKING:
    from simssl.evaluation.trained import load_trained as load
    from simssl.params import Params
    from simssl.plugin.hooks import hookimpl


def __getattr__(name: str) -> Any:
    if name == "Params":
        from simssl.params import Params

        return Params
    if name == "hookimpl":
        from simssl.plugin.hooks import hookimpl

        return hookimpl
    if name == "load":
        from simssl.evaluation.trained import load_trained

        return load_trained
    raise AttributeError(f"module 'simssl' has no attribute {name!r}")

"""A plugin before it is imported, and the errors of one that cannot be used."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from simssl.errors import UserError

KINDS = {
    "dataset": "Dataset",
    "backbone": "Backbone",
    "objective": "Objective",
    "evaluator": "Evaluator",
    "tracker": "Tracker",
}
"""Each kind of plugin and the class in `simssl.api` that it subclasses."""

BUILTIN = "simssl"
"""The distribution whose plugins are the built-in ones."""


def group(kind: str) -> str:
    """Return the entry-point group of a kind."""
    return f"simssl.{kind}s"


def hook(kind: str) -> str:
    """Return the name of a kind's hook."""
    return f"simssl_{kind}"


@dataclass(frozen=True, order=True)
class Plugin:
    """A name in YAML and the code behind it.

    That is an entry point's module, with the distribution that brings it; or a file that --plugin names.
    """

    kind: str
    name: str
    module: str
    """The module's name; for a file, its absolute path."""
    distribution: str
    version: str
    requires: str = ""
    """The versions of simssl that the distribution is for, such as ">=0.1,<0.2"; "" for any."""
    sha256: str = ""
    """The SHA-256 of a file's content; "" for an entry point."""

    @property
    def source(self) -> str:
        """The provider of the plugin, for messages."""
        if self.sha256:
            return f"{self.module} (SHA-256 {self.sha256[:12]})"
        return f"{self.distribution} {self.version} ({self.module})"

    @property
    def code(self) -> tuple[str, ...]:
        """The plugin's own code: files, and folders around files."""
        if self.sha256:
            return (self.module,)
        try:
            package, *_ = self.module.split(".")
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            return ()
        if spec is None:
            return ()
        if spec.submodule_search_locations:
            return tuple(spec.submodule_search_locations)
        if spec.origin:
            return (spec.origin,)
        return ()


class UnknownPlugin(UserError):
    """No installed distribution provides this name."""


class ConflictingPlugins(UserError):
    """Two distributions provide the same name."""


class BrokenPlugin(UserError):
    """A plugin cannot be imported, has no hook, or its hook returns the wrong thing."""

    def __init__(self, plugin: Plugin, reason: str) -> None:
        what = f"{plugin.kind} '{plugin.name}' of {plugin.source}"
        super().__init__(f"{what} is broken: {reason}")
        self.reason = reason

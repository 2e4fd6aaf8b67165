"""What is installed, from metadata alone; one plugin loaded on demand; the broken ones kept apart."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from simssl.errors import Interrupted, UserError, one_line

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
    """The entry-point group of a kind."""
    return f"simssl.{kind}s"


def hook(kind: str) -> str:
    """The name of a kind's hook."""
    return f"simssl_{kind}"


@dataclass(frozen=True, order=True)
class Plugin:
    """One entry point: a name in YAML, the module behind it, and the distribution that brings it."""

    kind: str
    name: str
    module: str
    distribution: str
    version: str

    @property
    def source(self) -> str:
        return f"{self.distribution} {self.version} ({self.module})"


class UnknownPlugin(UserError):
    """No installed distribution provides this name."""


class ConflictingPlugins(UserError):
    """Two distributions provide the same name."""


class BrokenPlugin(UserError):
    """A plugin cannot be imported, has no hook, or its hook returns the wrong thing."""

    def __init__(self, plugin: Plugin, reason: str) -> None:
        super().__init__(f"{plugin.kind} '{plugin.name}' of {plugin.source} is broken: {reason}")
        self.reason = reason


@dataclass
class Registry:
    """The installed plugins. Listing imports none of them; `load` imports one."""

    builtins_only: bool = False
    _plugins: dict[tuple[str, str], list[Plugin]] | None = None
    _unreadable: dict[str, str] = field(default_factory=dict)
    _loaded: dict[Plugin, type[Any]] = field(default_factory=dict)

    def plugins(self, kind: str | None = None) -> list[Plugin]:
        """Every plugin (of one kind), conflicting ones included, sorted by kind and name."""
        order = list(KINDS)
        found = [p for same in self._scan().values() for p in same if kind in (None, p.kind)]
        return sorted(found, key=lambda p: (order.index(p.kind), p.name, p.distribution))

    def names(self, kind: str) -> list[str]:
        return sorted(name for k, name in self._scan() if k == kind)

    def conflicts(self) -> dict[tuple[str, str], list[Plugin]]:
        """The names that more than one distribution provides."""
        return {key: same for key, same in self._scan().items() if len(same) > 1}

    def find(self, kind: str, name: str) -> Plugin:
        """The one plugin of this name; UnknownPlugin or ConflictingPlugins otherwise."""
        same = self._scan().get((kind, name), [])
        if not same:
            raise UnknownPlugin(_unknown(kind, name, self.names(kind), self.builtins_only))
        if len(same) > 1:
            both = " and ".join(p.source for p in same)
            raise ConflictingPlugins(f"{kind} '{name}' is provided by {both}; uninstall one of them")
        return same[0]

    def load(self, kind: str, name: str) -> type[Any]:
        """Import the plugin of this name and return its class; BrokenPlugin says what is wrong with it."""
        plugin = self.find(kind, name)
        if plugin not in self._loaded:
            self._loaded[plugin] = load(plugin)
        return self._loaded[plugin]

    @property
    def unreadable(self) -> dict[str, str]:
        """Folders of distributions whose metadata cannot be read, with the reason."""
        self._scan()
        return self._unreadable

    def _scan(self) -> dict[tuple[str, str], list[Plugin]]:
        if self._plugins is None:
            found, self._unreadable = _scan_path()
            if self.builtins_only:
                found = [p for p in found if p.distribution == BUILTIN]
            self._plugins = _by_name(found)
        return self._plugins


def _by_name(plugins: Iterable[Plugin]) -> dict[tuple[str, str], list[Plugin]]:
    by_name = defaultdict(list)
    for plugin in sorted(set(plugins)):
        by_name[plugin.kind, plugin.name].append(plugin)
    return dict(by_name)


def _scan_path() -> tuple[list[Plugin], dict[str, str]]:
    """All plugins on the path, and the folders whose metadata cannot be read, with the reason.

    Most distributions have no plugin, and their metadata is not even parsed. The first of a name on the path
    hides the others, as it does for imports.
    """
    by_distribution: dict[str, list[Plugin]] = {}
    unreadable = {}
    for dist in importlib.metadata.distributions():
        try:
            if "[simssl." in (dist.read_text("entry_points.txt") or ""):
                by_distribution.setdefault(dist.metadata["Name"] or _folder(dist), _plugins_of(dist))
        except Exception as error:
            unreadable[_folder(dist)] = one_line(error)
    return [plugin for plugins in by_distribution.values() for plugin in plugins], unreadable


def _plugins_of(dist: importlib.metadata.Distribution) -> list[Plugin]:
    kind_of = {group(kind): kind for kind in KINDS}
    name, version = dist.metadata["Name"] or _folder(dist), dist.version or "?"
    points = (point for point in dist.entry_points if point.group in kind_of)
    return [Plugin(kind_of[point.group], point.name, point.value, name, version) for point in points]


def _folder(dist: importlib.metadata.Distribution) -> str:
    return str(getattr(dist, "_path", dist))


def _unknown(kind: str, name: str, names: list[str], builtins_only: bool) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"; did you mean '{near[0]}'?" if near else f"; installed are {', '.join(names) or 'none'}"
    hint = "" if near else ". After a new entry point an editable install must be repeated (pip install -e .)"
    if builtins_only and not near:
        hint = ". --no-plugins hides what other distributions provide"
    return f"no {kind} is called '{name}'{guess}{hint}"


def load(plugin: Plugin) -> type[Any]:
    """Import a plugin's module, call its hook in a plugin manager of its own, and check what comes back."""
    from simssl import api

    try:
        module = importlib.import_module(plugin.module)
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:  # sys.exit() and what tests raise are no reason to end
        raise BrokenPlugin(plugin, f"importing it raised {one_line(error)}") from error
    result = _call_hook(plugin, module)
    base: type[Any] = getattr(api, KINDS[plugin.kind])
    if not (isinstance(result, type) and issubclass(result, base)):
        raise BrokenPlugin(plugin, f"{hook(plugin.kind)}() returned {result!r}, not a subclass of {base.__name__}")
    found: type[Any] = result
    if missing := api.undefined(found):
        raise BrokenPlugin(plugin, f"{found.__name__} does not define {' and '.join(missing)}")
    if not (isinstance(found.Params, type) and issubclass(found.Params, api.BaseParams)):
        raise BrokenPlugin(plugin, f"{found.__name__}.Params is {found.Params!r}, not a subclass of simssl.Params")
    return found


def _call_hook(plugin: Plugin, module: Any) -> Any:
    import pluggy

    from simssl import hookspecs

    manager = pluggy.PluginManager("simssl")
    manager.add_hookspecs(hookspecs)
    name = hook(plugin.kind)
    try:
        manager.register(module)
        manager.check_pending()
        if not getattr(manager.hook, name).get_hookimpls():
            raise BrokenPlugin(plugin, f"no hook found: define {name}() under @simssl.hookimpl in {plugin.module}")
        return getattr(manager.hook, name)()
    except pluggy.PluginValidationError as error:
        known = ", ".join(hook(kind) for kind in KINDS)
        reason = " ".join(str(error).split())
        raise BrokenPlugin(plugin, f"its hook does not fit: {reason}; the hooks are {known}") from error
    except BrokenPlugin:
        raise
    except Exception as error:
        raise BrokenPlugin(plugin, f"{name}() raised {one_line(error)}") from error


def published_table(name: str) -> str | None:
    """The text of the published table `name`.csv of whichever distribution provides it, or None."""
    import importlib.resources

    for point in importlib.metadata.entry_points(group="simssl.published", name=name):
        try:
            return importlib.resources.files(point.value).joinpath(f"{name}.csv").read_text(encoding="utf-8")
        except (ImportError, OSError, UnicodeDecodeError) as error:
            raise UserError(f"the published table '{name}' of {point.value} cannot be read: {error}") from error
    return None

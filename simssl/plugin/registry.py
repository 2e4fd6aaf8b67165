"""The installed plugins, known from metadata alone.

One is loaded on demand. The broken ones are kept apart.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simssl.blocks.messages import nearest
from simssl.errors import UserError, one_line
from simssl.plugin.plugin import BUILTIN, KINDS, BrokenPlugin, ConflictingPlugins, Plugin, UnknownPlugin, group
from simssl.plugin.versions import requirement, shortcoming

__all__ = ["BUILTIN", "KINDS", "BrokenPlugin", "ConflictingPlugins", "Plugin", "Registry", "UnknownPlugin"]


Name = tuple[str, str]
"""A kind, and a plugin's name in YAML."""
Plugins = dict[Name, list[Plugin]]
"""The plugins of each name. Two of one name are a conflict."""


@dataclass
class Registry:
    """The installed plugins, and those of `files`. Listing imports no installed plugin; `load` imports one."""

    builtins_only: bool = False
    files: tuple[Path, ...] = ()
    """Plugins that are one file each. The files are run when the plugins are listed."""
    known_files: Mapping[Name, str] = field(default_factory=dict)
    """The file of each plugin that was one when the run at hand was made, by kind and name."""
    _plugins: Plugins | None = None
    _unreadable: dict[str, str] = field(default_factory=dict)
    _loaded: dict[Plugin, type[Any]] = field(default_factory=dict)

    def use(self, files: tuple[Path, ...]) -> None:
        """Run these files and add their plugins; UserError if one cannot be used."""
        self.files = files
        self._plugins = None
        if files:
            self._scan()

    def plugins(self, kind: str | None = None) -> list[Plugin]:
        """Return every plugin (of one kind), conflicting ones included, sorted by kind and name."""
        kinds = list(KINDS)

        def order(plugin: Plugin) -> tuple[int, str, str]:
            return kinds.index(plugin.kind), plugin.name, plugin.distribution

        plugins: list[Plugin] = []
        for same in self._scan().values():
            plugins += same
        if kind is not None:
            plugins = [plugin for plugin in plugins if plugin.kind == kind]
        return sorted(plugins, key=order)

    def names(self, kind: str) -> list[str]:
        names = [name for its_kind, name in self._scan() if its_kind == kind]
        return sorted(names)

    def conflicts(self) -> Plugins:
        """Return the names that more than one distribution provides."""
        plugins = self._scan()
        return {key: same for key, same in plugins.items() if len(same) > 1}

    def find(self, kind: str, name: str) -> Plugin:
        """Return the one plugin of this name; UnknownPlugin or ConflictingPlugins otherwise."""
        same = self._scan().get((kind, name), [])
        if len(same) == 1:
            return same[0]
        if same:
            both = " and ".join(plugin.source for plugin in same)
            raise ConflictingPlugins(f"{kind} '{name}' is provided by {both}; uninstall one of them")
        file = self.known_files.get((kind, name))
        if file:
            hint = f"give --plugin {file}, or plugins=[...] to simssl.load"
            raise UnknownPlugin(f"{kind} '{name}' was the file {file} when the run was made; {hint}")
        sentence = _unknown(kind, name, self.names(kind), self.builtins_only)
        raise UnknownPlugin(sentence)

    def load(self, kind: str, name: str) -> type[Any]:
        """Import the plugin of this name and return its class; BrokenPlugin says what is wrong with it."""
        plugin = self.find(kind, name)
        reason = shortcoming(plugin.requires)
        if reason:
            raise BrokenPlugin(plugin, reason)
        if plugin not in self._loaded:
            from simssl.plugin.loading import load_plugin

            self._loaded[plugin] = load_plugin(plugin)
        return self._loaded[plugin]

    def recalling(self, files: Mapping[Name, str]) -> Registry:
        """Return the same plugins, with the files of a run: `find` names the file of a plugin that is missing."""
        self._scan()
        return replace(self, known_files=files)

    @property
    def unreadable(self) -> dict[str, str]:
        """Folders of distributions whose metadata cannot be read, with the reason."""
        self._scan()
        return self._unreadable

    def _scan(self) -> Plugins:
        """All plugins by kind and name. They are looked for once."""
        if self._plugins is None:
            installed, self._unreadable = _scan_path()
            if self.builtins_only:
                installed = [plugin for plugin in installed if plugin.distribution == BUILTIN]
            plugins = _by_name(installed)
            resolved = [path.resolve() for path in self.files]
            for path in dict.fromkeys(resolved):
                self._add_file(path, plugins)
            self._plugins = plugins
        return self._plugins

    @staticmethod
    def _add_file(path: Path, plugins: Plugins) -> None:
        from simssl.plugin.one_file import plugins_of

        for plugin in plugins_of(path):
            kind = plugin.kind
            name = plugin.name
            same = plugins.get((kind, name))
            if same:
                by = " and ".join(other.source for other in same)
                raise UserError(f"{path} would be {kind} '{name}', which {by} provides; rename the file")
            plugins[kind, name] = [plugin]


def _by_name(plugins: Iterable[Plugin]) -> Plugins:
    by_name: Plugins = {}
    for plugin in sorted(set(plugins)):
        key = (plugin.kind, plugin.name)
        by_name.setdefault(key, []).append(plugin)
    return by_name


def _scan_path() -> tuple[list[Plugin], dict[str, str]]:
    """All plugins on the path, and the folders whose metadata cannot be read, with the reason.

    Most distributions have no plugin, and their metadata is not even parsed. The first of a name on the path
    hides the others, as it does for imports.
    """
    plugins: list[Plugin] = []
    distributions: set[str] = set()
    unreadable: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        try:
            entry_points = distribution.read_text("entry_points.txt") or ""
            if "[simssl." not in entry_points:
                continue
            its_plugins = _plugins_of(distribution)
        except Exception as error:
            unreadable[_folder(distribution)] = one_line(error)
            continue
        if its_plugins and its_plugins[0].distribution not in distributions:
            distributions.add(its_plugins[0].distribution)
            plugins += its_plugins
    return plugins, unreadable


def _plugins_of(distribution: importlib.metadata.Distribution) -> list[Plugin]:
    kind_of = {group(kind): kind for kind in KINDS}
    about = distribution.metadata
    name = about["Name"] or _folder(distribution)
    version = about["Version"] or "?"
    requires = ""
    if name != BUILTIN:
        requires = requirement(about.get_all("Requires-Dist") or ())
    plugins = []
    for point in distribution.entry_points:
        if point.group in kind_of:
            kind = kind_of[point.group]
            plugin = Plugin(kind, point.name, point.value, name, version, requires)
            plugins.append(plugin)
    return plugins


def _folder(distribution: importlib.metadata.Distribution) -> str:
    return str(getattr(distribution, "_path", distribution))


def _unknown(kind: str, name: str, names: list[str], builtins_only: bool) -> str:
    """One sentence about a name that no plugin has."""
    said = f"no {kind} is called '{name}'"
    near = nearest(name, names)
    if near:
        return f"{said}; did you mean '{near}'?"
    hint = (
        "One in a file of its own needs --plugin FILE.py; after a new entry point an editable install must be repeated "
        "(pip install -e .)"
    )
    if builtins_only:
        hint = "--no-plugins hides what other distributions provide"
    return f"{said}; installed are {', '.join(names) or 'none'}. {hint}"


def published_table(name: str) -> str | None:
    """Return the text of `name`.csv, a table of published values that a distribution provides; None if none does."""
    import importlib.resources

    for point in importlib.metadata.entry_points(group="simssl.published", name=name):
        try:
            folder = importlib.resources.files(point.value)
            return folder.joinpath(f"{name}.csv").read_text(encoding="utf-8")
        except (ImportError, OSError, UnicodeDecodeError) as error:
            raise UserError(f"the published table '{name}' of {point.value} cannot be read: {error}") from error
    return None

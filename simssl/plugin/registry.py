"""What is installed, from metadata alone; one plugin loaded on demand; the broken ones kept apart."""

from __future__ import annotations

import difflib
import importlib.metadata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simssl.errors import UserError, one_line
from simssl.plugin.plugin import BUILTIN, KINDS, BrokenPlugin, ConflictingPlugins, Plugin, UnknownPlugin, group
from simssl.plugin.versions import requirement, shortcoming

__all__ = ["BUILTIN", "KINDS", "BrokenPlugin", "ConflictingPlugins", "Plugin", "Registry", "UnknownPlugin"]


@dataclass
class Registry:
    """The installed plugins, and those of `files`. Listing imports no installed plugin; `load` imports one."""

    builtins_only: bool = False
    files: tuple[Path, ...] = ()
    """Plugins that are one file each; they are run when the plugins are listed."""
    known_files: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Of a run at hand: kind and name of each plugin that was a file -> the file."""
    _plugins: dict[tuple[str, str], list[Plugin]] | None = None
    _unreadable: dict[str, str] = field(default_factory=dict)
    _loaded: dict[Plugin, type[Any]] = field(default_factory=dict)

    def use(self, files: tuple[Path, ...]) -> None:
        """The plugins of these files, too, which are run now; UserError if one cannot be used."""
        self.files, self._plugins = files, None
        if files:
            self._scan()

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
        if not same and (file := self.known_files.get((kind, name))):
            raise UnknownPlugin(f"{kind} '{name}' was the file {file} when the run was made; give --plugin {file}")
        if not same:
            raise UnknownPlugin(_unknown(kind, name, self.names(kind), self.builtins_only))
        if len(same) > 1:
            both = " and ".join(p.source for p in same)
            raise ConflictingPlugins(f"{kind} '{name}' is provided by {both}; uninstall one of them")
        return same[0]

    def load(self, kind: str, name: str) -> type[Any]:
        """Import the plugin of this name and return its class; BrokenPlugin says what is wrong with it."""
        plugin = self.find(kind, name)
        if reason := shortcoming(plugin.requires):
            raise BrokenPlugin(plugin, reason)
        if plugin not in self._loaded:
            from simssl.plugin.loading import load_plugin

            self._loaded[plugin] = load_plugin(plugin)
        return self._loaded[plugin]

    def recalling(self, files: Mapping[tuple[str, str], str]) -> Registry:
        """The same plugins; `find` says of one that is missing that it was this file."""
        self._scan()
        return replace(self, known_files=files)

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
            there = _by_name(found)
            for path in dict.fromkeys(path.resolve() for path in self.files):
                self._add_file(path, there)
            self._plugins = there
        return self._plugins

    @staticmethod
    def _add_file(path: Path, there: dict[tuple[str, str], list[Plugin]]) -> None:
        from simssl.plugin.one_file import plugins_of

        for plugin in plugins_of(path):
            key = plugin.kind, plugin.name
            if key in there:
                by = " and ".join(p.source for p in there[key])
                raise UserError(f"{path} would be {key[0]} '{key[1]}', which {by} provides; rename the file")
            there[key] = [plugin]


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
                plugins = _plugins_of(dist)
                by_distribution.setdefault(plugins[0].distribution if plugins else "", plugins)
        except Exception as error:
            unreadable[_folder(dist)] = one_line(error)
    return [plugin for plugins in by_distribution.values() for plugin in plugins], unreadable


def _plugins_of(dist: importlib.metadata.Distribution) -> list[Plugin]:
    kind_of = {group(kind): kind for kind in KINDS}
    about = dist.metadata
    name, version = about["Name"] or _folder(dist), about["Version"] or "?"
    requires = "" if name == BUILTIN else requirement(about.get_all("Requires-Dist") or ())
    points = (point for point in dist.entry_points if point.group in kind_of)
    return [Plugin(kind_of[point.group], point.name, point.value, name, version, requires) for point in points]


def _folder(dist: importlib.metadata.Distribution) -> str:
    return str(getattr(dist, "_path", dist))


def _unknown(kind: str, name: str, names: list[str], builtins_only: bool) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"; did you mean '{near[0]}'?" if near else f"; installed are {', '.join(names) or 'none'}"
    hint = "" if near else ". After a new entry point an editable install must be repeated (pip install -e .)"
    if builtins_only and not near:
        hint = ". --no-plugins hides what other distributions provide"
    return f"no {kind} is called '{name}'{guess}{hint}"


def published_table(name: str) -> str | None:
    """The text of the published table `name`.csv of whichever distribution provides it, or None."""
    import importlib.resources

    for point in importlib.metadata.entry_points(group="simssl.published", name=name):
        try:
            return importlib.resources.files(point.value).joinpath(f"{name}.csv").read_text(encoding="utf-8")
        except (ImportError, OSError, UnicodeDecodeError) as error:
            raise UserError(f"the published table '{name}' of {point.value} cannot be read: {error}") from error
    return None

"""One plugin is imported, its hook called, and the class that comes back checked.

What is wrong is said with the plugin's own line.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from simssl.errors import STOPS, line_of, one_line, said, shown
from simssl.plugin.one_file import module_name
from simssl.plugin.plugin import KINDS, BrokenPlugin, Plugin, group, hook


def load_plugin(plugin: Plugin) -> type[Any]:
    """Import a plugin and return its class; BrokenPlugin says what is wrong with it."""
    module = _import(plugin)
    result = _call_hook(plugin, module)
    return _checked(plugin, result, module)


def _import(plugin: Plugin) -> ModuleType:
    """The plugin's module; BrokenPlugin whatever importing it raises."""
    if plugin.sha256:
        return sys.modules[module_name(plugin.module, plugin.sha256)]
    try:
        return importlib.import_module(plugin.module)
    except STOPS:
        raise
    except BaseException as error:  # sys.exit() and what tests raise are no reason to end
        reason = f"importing it raised {one_line(error, plugin.code)}"
        package, *_ = plugin.module.split(".")
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            hint = "if it was renamed, correct the entry point in pyproject.toml and install the package again"
            reason = f"there is no module '{error.name}', which its entry point names; {hint}"
        raise BrokenPlugin(plugin, reason) from error


def _call_hook(plugin: Plugin, module: ModuleType) -> Any:
    """The hook's result; BrokenPlugin if there is no such hook, or if it raises."""
    import pluggy

    from simssl.plugin import hooks

    name = hook(plugin.kind)
    manager = pluggy.PluginManager("simssl")
    manager.add_hookspecs(hooks)
    try:
        manager.register(module)
        manager.check_pending()
        caller = getattr(manager.hook, name)
        if not caller.get_hookimpls():
            raise BrokenPlugin(plugin, _no_hook(plugin, module))
        return caller()
    except pluggy.PluginValidationError as error:
        known = ", ".join(map(hook, KINDS))
        message = " ".join(str(error).split())
        location = line_of(getattr(module, name, None))
        raise BrokenPlugin(plugin, f"its hook does not fit: {message}{location}; the hooks are {known}") from error
    except (BrokenPlugin, *STOPS):
        raise
    except BaseException as error:
        raise BrokenPlugin(plugin, f"{name}() raised {one_line(error, plugin.code)}") from error


def _no_hook(plugin: Plugin, module: ModuleType) -> str:
    """The reason why a module has no hook of the plugin's kind."""
    name = hook(plugin.kind)
    function = getattr(module, name, None)
    if callable(function):
        return f"{name}() is no hook: put @simssl.hookimpl above it{line_of(function)}"
    for kind in KINDS:
        if hasattr(module, hook(kind)):
            other = f"{hook(kind)}(), whose entry point belongs in the group {group(kind)}"
            return f"no hook found: there is {other}, and no {name}() ({module.__file__})"
    return f"no hook found: define {name}() under @simssl.hookimpl in {plugin.module} ({module.__file__})"


def _checked(plugin: Plugin, result: Any, module: ModuleType) -> type[Any]:
    """The hook's result, if it is a whole class of the right kind; BrokenPlugin otherwise."""
    from simssl import api

    base = KINDS[plugin.kind]
    wanted = getattr(api, base)
    if not (isinstance(result, type) and issubclass(result, wanted)):
        name = hook(plugin.kind)
        location = line_of(getattr(module, name, None))
        what = said(result)
        if isinstance(result, type):
            what = shown(result, 100)
        raise BrokenPlugin(plugin, f"{name}() returned {what}, not a subclass of {base}{location}")
    loaded: type[Any] = result
    missing = api.undefined(loaded)
    if missing:
        methods = " and ".join(missing)
        raise BrokenPlugin(plugin, f"{loaded.__name__} does not define {methods}{line_of(loaded)}")
    if not (isinstance(loaded.Params, type) and issubclass(loaded.Params, api.BaseParams)):
        params = shown(loaded.Params, 100)
        what = f"{loaded.__name__}.Params is {params}, not a subclass of simssl.Params"
        raise BrokenPlugin(plugin, f"{what}{line_of(loaded)}")
    return loaded

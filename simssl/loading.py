"""Import one plugin, call its hook, and check what comes back; what is wrong is said with the plugin's own line."""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType
from typing import Any

from simssl.errors import Interrupted, one_line
from simssl.plugin import KINDS, BrokenPlugin, Plugin, hook
from simssl.plugin_file import module_name


def load(plugin: Plugin) -> type[Any]:
    """The plugin's class; BrokenPlugin says what is wrong with it."""
    module = _import(plugin)
    return _checked(plugin, _call_hook(plugin, module), module)


def _import(plugin: Plugin) -> ModuleType:
    """The plugin's module, whatever importing it raises."""
    if plugin.sha256:
        return sys.modules[module_name(plugin.module, plugin.sha256)]
    try:
        return importlib.import_module(plugin.module)
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:  # sys.exit() and what tests raise are no reason to end
        raise BrokenPlugin(plugin, f"importing it raised {one_line(error, plugin.places)}") from error


def _checked(plugin: Plugin, result: Any, module: ModuleType) -> type[Any]:
    """What the hook returned, if it is a whole class of the right kind."""
    from simssl import api

    name = hook(plugin.kind)
    base: type[Any] = getattr(api, KINDS[plugin.kind])
    if not (isinstance(result, type) and issubclass(result, base)):
        it = (
            "an instance: return the class itself" if isinstance(result, base) else f"not a subclass of {base.__name__}"
        )
        raise BrokenPlugin(plugin, f"{name}() returned {result!r}, {it}{place(getattr(module, name, None))}")
    found: type[Any] = result
    if missing := api.undefined(found):
        raise BrokenPlugin(plugin, f"{found.__name__} does not define {' and '.join(missing)}{place(found)}")
    if not (isinstance(found.Params, type) and issubclass(found.Params, api.BaseParams)):
        what = f"{found.__name__}.Params is {found.Params!r}, not a subclass of simssl.Params"
        raise BrokenPlugin(plugin, what + place(found))
    return found


def place(found: Any) -> str:
    """Where a function or class is defined, " (file:line)", or nothing where that is not known."""
    try:
        return f" ({inspect.getsourcefile(found)}:{inspect.getsourcelines(found)[1]})"
    except (OSError, TypeError):
        return ""


def _call_hook(plugin: Plugin, module: ModuleType) -> Any:
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
        raise BrokenPlugin(plugin, f"{name}() raised {one_line(error, plugin.places)}") from error

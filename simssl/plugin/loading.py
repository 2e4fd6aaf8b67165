"""Import one plugin, call its hook, and check what comes back; what is wrong is said with the plugin's own line."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from simssl.errors import Interrupted, line_of, one_line, said, shown
from simssl.plugin.one_file import module_name
from simssl.plugin.plugin import KINDS, BrokenPlugin, Plugin, group, hook


def load_plugin(plugin: Plugin) -> type[Any]:
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
        reason = f"importing it raised {one_line(error, plugin.code)}"
        if isinstance(error, ModuleNotFoundError) and error.name == plugin.module.partition(".")[0]:
            hint = "if it was renamed, correct the entry point in pyproject.toml and install the package again"
            reason = f"there is no module '{error.name}', which its entry point names; {hint}"
        raise BrokenPlugin(plugin, reason) from error


def _checked(plugin: Plugin, result: Any, module: ModuleType) -> type[Any]:
    """What the hook returned, if it is a whole class of the right kind."""
    from simssl import api

    name, base = hook(plugin.kind), KINDS[plugin.kind]
    if not (isinstance(result, type) and issubclass(result, getattr(api, base))):
        wanted = f"not a subclass of {base}{line_of(getattr(module, name, None))}"
        what = shown(result, 100) if isinstance(result, type) else said(result)
        raise BrokenPlugin(plugin, f"{name}() returned {what}, {wanted}")
    found: type[Any] = result
    if missing := api.undefined(found):
        raise BrokenPlugin(plugin, f"{found.__name__} does not define {' and '.join(missing)}{line_of(found)}")
    if not (isinstance(found.Params, type) and issubclass(found.Params, api.BaseParams)):
        what = f"{found.__name__}.Params is {shown(found.Params, 100)}, not a subclass of simssl.Params"
        raise BrokenPlugin(plugin, what + line_of(found))
    return found


def _call_hook(plugin: Plugin, module: ModuleType) -> Any:
    import pluggy

    from simssl.plugin import hooks

    manager = pluggy.PluginManager("simssl")
    manager.add_hookspecs(hooks)
    name = hook(plugin.kind)
    try:
        manager.register(module)
        manager.check_pending()
        if not getattr(manager.hook, name).get_hookimpls():
            raise BrokenPlugin(plugin, _no_hook(plugin, module))
        return getattr(manager.hook, name)()
    except pluggy.PluginValidationError as error:
        known = ", ".join(hook(kind) for kind in KINDS)
        reason = f"{' '.join(str(error).split())}{line_of(getattr(module, name, None))}"
        raise BrokenPlugin(plugin, f"its hook does not fit: {reason}; the hooks are {known}") from error
    except BrokenPlugin:
        raise
    except Exception as error:
        raise BrokenPlugin(plugin, f"{name}() raised {one_line(error, plugin.code)}") from error


def _no_hook(plugin: Plugin, module: ModuleType) -> str:
    name = hook(plugin.kind)
    if callable(function := getattr(module, name, None)):
        return f"{name}() is no hook: put @simssl.hookimpl above it{line_of(function)}"
    others = [kind for kind in KINDS if hasattr(module, hook(kind))]
    if others:
        there = f"{hook(others[0])}(), whose entry point belongs in the group {group(others[0])}"
        return f"no hook found: there is {there}, and no {name}() ({module.__file__})"
    return f"no hook found: define {name}() under @simssl.hookimpl in {plugin.module} ({module.__file__})"

"""A plugin's parameters in words: type, default, range, meaning and source, from its Params alone."""

from __future__ import annotations

import inspect
import json
import textwrap
from typing import Any

from simssl.errors import UserError
from simssl.plugin.registry import Plugin

ALL = "*"
"""The pattern that every name fits."""
_LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
}


def describe(plugin: Plugin, loaded: type[Any]) -> str:
    """Return what `simssl show` prints."""
    first = f"{plugin.kind} {plugin.name}, of {plugin.source}"
    about = inspect.getdoc(loaded) or ""
    lines = [first, "", about, ""]
    properties = loaded.Params.model_json_schema().get("properties", {})
    for name, schema in properties.items():
        lines += _wrapped(heading(name, schema), "  ")
        lines += _wrapped(schema.get("description", ""), "      ")
    if not properties:
        lines.append("  It has no parameters.")
    names = len(loaded.choices(ALL))
    if names:
        command = f"simssl show {plugin.kind} {plugin.name} PATTERN"
        lines += ["", f"  {names:,} names can be chosen; `{command}` lists those that fit a pattern such as 'a*'."]
    return "\n".join(lines)


def choices(plugin: Plugin, loaded: type[Any], pattern: str) -> str:
    """Return what `simssl show` prints of a pattern: the names that fit it, a line each. UserError if none does."""
    names = loaded.choices(pattern)
    if names:
        return "\n".join(names)
    command = f"simssl show {plugin.kind} {plugin.name}"
    if not loaded.choices(ALL):
        raise UserError(f"{plugin.kind} '{plugin.name}' has no names to choose from; `{command}` shows its parameters")
    other = "a shorter one" if ALL in pattern else f"'*{pattern}*'"
    raise UserError(f"no name of {plugin.kind} '{plugin.name}' fits '{pattern}'; try {other}")


def _wrapped(text: str, first_indent: str) -> list[str]:
    return textwrap.wrap(text, 98, initial_indent=first_indent, subsequent_indent="      ")


def heading(name: str, schema: dict[str, Any]) -> str:
    """Return a field's name, type, range and default in a line."""
    default = default_of(schema)
    if default == "empty":
        default = "empty by default"
    elif default != "required":
        default = f"default {default}"
    return f"{name}: {type_of(schema)}, {default}"


def default_of(schema: dict[str, Any]) -> str:
    """Return a field's default in words."""
    if "default" not in schema:
        return "required"
    default = schema["default"]
    if default is None:
        return "empty"
    if isinstance(default, str):
        return default
    return json.dumps(default)


def type_of(schema: dict[str, Any]) -> str:
    """Return a JSON Schema's type and range in words."""
    if "anyOf" in schema:
        return " or ".join(map(type_of, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "prefixItems" in schema:
        items = ", ".join(map(type_of, schema["prefixItems"]))
        return f"[{items}]"
    if schema.get("type") == "array":
        if "items" not in schema:
            return "list"
        return f"list of ({type_of(schema['items'])})"
    name = schema.get("type", "mapping")
    if name == "null":
        name = "empty"
    limits = []
    for key, text in _LIMITS.items():
        if key in schema:
            limits.append(text.format(schema[key]))
    if not limits:
        return str(name)
    return f"{name} {' and '.join(limits)}"

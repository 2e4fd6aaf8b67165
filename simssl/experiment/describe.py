"""A plugin's parameters in words: type, default, range, meaning and source, from its Params alone."""

from __future__ import annotations

import inspect
import json
import textwrap
from typing import Any

from simssl.plugin.registry import Plugin

_LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
}


def describe(plugin: Plugin, loaded: type[Any]) -> str:
    """What `simssl show` prints."""
    lines = [f"{plugin.kind} {plugin.name}, of {plugin.source}", "", inspect.getdoc(loaded) or "", ""]
    properties = loaded.Params.model_json_schema().get("properties", {})
    for name, schema in properties.items():
        lines += textwrap.wrap(heading(name, schema), 98, **_indent(2))
        lines += textwrap.wrap(schema.get("description", ""), 98, **_indent(6))
    if not properties:
        lines.append("  It has no parameters.")
    return "\n".join(lines)


def heading(name: str, schema: dict[str, Any]) -> str:
    """A field's name, type, range and default in a line."""
    default = default_of(schema)
    said = default if default == "required" else f"{default} by default" if default == "empty" else f"default {default}"
    return f"{name}: {type_of(schema)}, {said}"


def _indent(first: int) -> dict[str, Any]:
    return {"initial_indent": " " * first, "subsequent_indent": " " * 6}


def default_of(schema: dict[str, Any]) -> str:
    """A field's default in words."""
    if "default" not in schema:
        return "required"
    default = schema["default"]
    if default is None:
        return "empty"
    return default if isinstance(default, str) else json.dumps(default)


def type_of(schema: dict[str, Any]) -> str:
    """A JSON Schema's type and range in words."""
    if "anyOf" in schema:
        return " or ".join(type_of(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if "prefixItems" in schema:
        return f"[{', '.join(type_of(item) for item in schema['prefixItems'])}]"
    if schema.get("type") == "array":
        return f"list of ({type_of(schema['items'])})" if "items" in schema else "list"
    limits = [text.format(schema[key]) for key, text in _LIMITS.items() if key in schema]
    name = {"null": "empty"}.get(schema.get("type", ""), schema.get("type", "mapping"))
    return " ".join([name, " and ".join(limits)]).rstrip()

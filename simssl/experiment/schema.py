"""The JSON Schema of an experiment file, with the parameters of every installed plugin.

Editors complete, explain and check a file with it, so that what they show is worded here: over a parameter stands what
`simssl show` says of it, and a mistake is told once.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from simssl.errors import UserError
from simssl.experiment.config import ABOUT, MANY, ONE
from simssl.experiment.describe import heading
from simssl.experiment.grid import FIXED
from simssl.experiment.model import NAME, Core
from simssl.experiment.yaml12 import DIGITS, NUMBER
from simssl.plugin.registry import Registry

TITLE = "simssl experiment"
MODELINE = "# yaml-language-server: $schema={}"
"""The first line of an experiment file: where, seen from the file, editors find the schema."""

GROUPED = {
    "integer": (f"^(?=.*_)[-+]?{DIGITS}$", "a whole number, such as 240_000, is expected"),
    "number": (f"^(?=.*_){NUMBER}$", "a number is expected"),
}
"""Numbers whose digits are grouped, which are strings to other readers of YAML."""


def schema(registry: Registry) -> tuple[dict[str, Any], list[str]]:
    """The schema, and a sentence for each plugin that had to be left out because it is broken."""
    core = Core.model_json_schema()
    definitions: dict[str, Any] = core.pop("$defs", {})
    left_out: list[str] = []
    for kind in (*ONE, *MANY.values()):
        variants = []
        for name in registry.names(kind):
            try:
                variants.append(_plugin(kind, name, registry, definitions))
            except UserError as error:
                left_out.append(str(error))
        definitions[kind] = _one_of(kind, variants)
    properties = core["properties"]
    properties |= {kind: {"description": ABOUT[kind], "$ref": f"#/$defs/{kind}"} for kind in ONE}
    properties |= {
        key: {"description": ABOUT[key], "type": "array", "items": {"$ref": f"#/$defs/{kind}"}}
        for key, kind in MANY.items()
    }
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "anyOf": [{"required": [*core["required"], *ONE]}, {"required": ["grid"]}],
        "properties": properties | {"grid": _grid(properties)},
        "$defs": definitions,
    }
    return _worded(document), left_out


def _plugin(kind: str, name: str, registry: Registry, definitions: dict[str, Any]) -> dict[str, Any]:
    plugin = registry.load(kind, name)
    params = plugin.Params.model_json_schema(ref_template=f"#/$defs/{kind}.{name}.{{model}}")
    for model, definition in params.pop("$defs", {}).items():
        definitions[f"{kind}.{name}.{model}"] = definition
    about = (inspect.getdoc(plugin) or "").split("\n\n")[0]
    own = {"name": {"const": name, "description": about}}
    if kind == "evaluator":
        own["as"] = {"type": "string", "pattern": f"^{NAME}$", "description": "Another name for its metrics."}
    return {
        "type": "object",
        "title": name,
        "description": about,
        "additionalProperties": False,
        "required": ["name", *params.get("required", [])],
        "properties": own | params.get("properties", {}),
    }


def _one_of(kind: str, variants: list[dict[str, Any]]) -> dict[str, Any]:
    """One plugin, told apart by `name`: editors offer every name, and check the rest against the plugin so called."""
    names = [variant["title"] for variant in variants]
    about = [" ".join(variant["description"].split()) for variant in variants]
    return {
        "title": kind,
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"enum": names, "enumDescriptions": about, "markdownEnumDescriptions": about}},
        "allOf": [
            {"if": {"properties": {"name": {"const": name}}, "required": ["name"]}, "then": variant}
            for name, variant in zip(names, variants, strict=True)
        ],
    }


def _grid(properties: dict[str, Any]) -> dict[str, Any]:
    """Axes: a key with a list of what can stand there, or another name with a list of mappings of dotted keys."""
    sections = {key: value for key, value in properties.items() if key not in FIXED}
    axis = {"type": "array", "minItems": 1}
    return {
        "type": "object",
        "description": ABOUT["grid"],
        "properties": {key: axis | {"items": value} for key, value in sections.items()},
        "additionalProperties": axis | {"items": {"properties": sections}},
    }


def _worded(node: Any) -> Any:
    """As editors show it best: each field under the heading of `simssl show`, descriptions of one line each."""
    if isinstance(node, list):
        return [_worded(part) for part in node]
    if not isinstance(node, dict):
        return node
    words = {key: _worded(value) for key, value in node.items() if key not in ("properties", "description")}
    if isinstance(node.get("description"), str):
        words["description"] = " ".join(node["description"].split())
    if "properties" in node:
        words["properties"] = {name: _field(name, field) for name, field in node["properties"].items()}
    if isinstance(kind := words.get("type"), str) and kind in GROUPED:
        words["type"] = _types(kind)
        words["pattern"], words["patternErrorMessage"] = GROUPED[kind]
    return words


def _types(kind: str) -> list[str]:
    return [kind, "string"] if kind in GROUPED else [kind]


def _field(name: str, field: dict[str, Any]) -> dict[str, Any]:
    words: dict[str, Any] = _worded(_one_type(field))
    return words | {"title": heading(name, field)} if "title" in field else words


def _one_type(field: dict[str, Any]) -> dict[str, Any]:
    """Values of several types under one `type`, such as a number or nothing: alternatives make several messages."""
    parts = field.get("anyOf", [])
    if not parts or not all(isinstance(part.get("type"), str) and "enum" not in part for part in parts):
        return field
    merged = {key: value for key, value in field.items() if key != "anyOf"}
    for part in parts:
        merged |= _worded(part)
    return merged | {"type": list(dict.fromkeys(kind for part in parts for kind in _types(part["type"])))}


def write(path: Path, document: dict[str, Any]) -> None:
    """Write the schema; UserError if that would replace anything but an older one."""
    try:
        if path.exists() and not _is_a_schema(path.read_bytes()):
            raise UserError(f"{path} exists and is no schema of simssl's, so it is left as it is; name another file")
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def _is_a_schema(content: bytes) -> bool:
    try:
        there = json.loads(content)
    except ValueError:
        return False
    return isinstance(there, dict) and there.get("title") == TITLE

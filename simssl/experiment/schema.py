"""The JSON Schema of an experiment file, with the parameters of every installed plugin.

Editors complete, explain and check a file with it. What they show is worded here: over a parameter stands what
`simssl show` says of it, and a mistake is told once.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from simssl.blocks.files import write_whole
from simssl.errors import UserError
from simssl.experiment.config import ABOUT
from simssl.experiment.describe import heading
from simssl.experiment.grid import FIXED
from simssl.experiment.model import LONGEST, NAME, Core
from simssl.experiment.sections import MANY, MEASURE, MODALITIES, ONE, SELECTION, takes_dataset
from simssl.experiment.settings import Moments, Selection
from simssl.experiment.yaml12 import DIGITS, NUMBER
from simssl.params import Params
from simssl.plugin.registry import Registry

Schema = dict[str, Any]
"""A JSON Schema, or a part of one."""

TITLE = "simssl experiment"
MODELINE = "# yaml-language-server: $schema={}"
"""The first line of an experiment file. It tells editors the path of the schema, relative to the file."""

GROUPED = {
    "integer": (f"^(?=.*_)[-+]?{DIGITS}$", "a whole number, such as 240_000, is expected"),
    "number": (f"^(?=.*_){NUMBER}$", "a number is expected"),
}
"""Numbers whose digits are grouped, which are strings to other readers of YAML."""


def schema(registry: Registry) -> tuple[Schema, list[str]]:
    """Return the schema, and a sentence for each plugin that is left out because it is broken."""
    core = Core.model_json_schema()
    definitions: Schema = core.pop("$defs", {})
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
    for kind in ONE:
        properties[kind] = {"description": ABOUT[kind], "$ref": f"#/$defs/{kind}"}
    for key, kind in MANY.items():
        items = {"$ref": f"#/$defs/{kind}"}
        properties[key] = {"description": ABOUT[key], "type": "array", "items": items}
    properties[MODALITIES] = {"description": ABOUT[MODALITIES], **_modalities()}
    evaluator = {"$ref": "#/$defs/evaluator"}
    several = {"type": "array", "minItems": 1, "items": evaluator}
    properties[MEASURE] = {"description": ABOUT[MEASURE], **_while_training(Moments, "evaluators", several)}
    properties[SELECTION] = {"description": ABOUT[SELECTION], **_while_training(Selection, "evaluator", evaluator)}
    whole = {"required": [*core["required"], *ONE]}
    with_grid = {"required": ["grid"]}
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "anyOf": [whole, with_grid],
        "properties": properties | {"grid": _grid(properties)},
        "$defs": definitions,
    }
    return _worded(document), left_out


def _modalities() -> Schema:
    """Names of modalities, each with its backbone."""
    modality = {
        "type": "object",
        "required": ["backbone"],
        "additionalProperties": False,
        "properties": {"backbone": {"$ref": "#/$defs/backbone"}},
    }
    return {"type": "object", "minProperties": 1, "additionalProperties": modality}


def _while_training(model: type[Params], key: str, plugins: Schema) -> Schema:
    """When something is measured while a method is trained, and the evaluators that measure it."""
    own = model.model_json_schema()
    return {
        "type": "object",
        "required": [*own.get("required", []), key],
        "additionalProperties": False,
        "properties": {**own["properties"], key: plugins},
    }


def _plugin(kind: str, name: str, registry: Registry, definitions: Schema) -> Schema:
    """The schema of one plugin; the models within its parameters are added to `definitions`."""
    plugin = registry.load(kind, name)
    params = plugin.Params.model_json_schema(ref_template=f"#/$defs/{kind}.{name}.{{model}}")
    for model, definition in params.pop("$defs", {}).items():
        definitions[f"{kind}.{name}.{model}"] = definition
    docstring = inspect.getdoc(plugin) or ""
    about = docstring.split("\n\n")[0]
    own: Schema = {"name": {"const": name, "description": about}}
    if kind == "evaluator":
        another = "Another name for its metrics."
        name_of_metrics = f"^{NAME}(:{NAME})?$"  # a run's own file has the name of its other data set behind it
        own["as"] = {"type": "string", "pattern": name_of_metrics, "maxLength": LONGEST, "description": another}
        if takes_dataset(kind, plugin):
            where = "beside" if plugin.takes_other_data else "in place of"
            about_data = f"Another data set, whose images are measured {where} those of the run's."
            own["dataset"] = {"description": about_data, "$ref": "#/$defs/dataset"}
    return {
        "type": "object",
        "title": name,
        "description": about,
        "additionalProperties": False,
        "required": ["name", *params.get("required", [])],
        "properties": own | params.get("properties", {}),
    }


def _one_of(kind: str, variants: list[Schema]) -> Schema:
    """One plugin, told apart by `name`: editors offer every name, and check the rest against the plugin so called."""
    names = []
    about = []
    conditions = []
    for variant in variants:
        name = variant["title"]
        names.append(name)
        about.append(_in_one_line(variant["description"]))
        is_called_so = {"properties": {"name": {"const": name}}, "required": ["name"]}
        conditions.append({"if": is_called_so, "then": variant})
    return {
        "title": kind,
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"enum": names, "enumDescriptions": about, "markdownEnumDescriptions": about}},
        "allOf": conditions,
    }


def _grid(properties: Schema) -> Schema:
    """Axes: a key with a list of what can stand there, or another name with a list of mappings of dotted keys."""
    axis = {"type": "array", "minItems": 1}
    sections = {}
    axes = {}
    for key, value in properties.items():
        if key not in FIXED:
            sections[key] = value
            axes[key] = axis | {"items": value}
    return {
        "type": "object",
        "description": ABOUT["grid"],
        "properties": axes,
        "additionalProperties": axis | {"items": {"properties": sections}},
    }


def _worded(node: Any) -> Any:
    """The schema as editors show it best: each field under the heading of `simssl show`, a description in one line."""
    if isinstance(node, list):
        return [_worded(part) for part in node]
    if not isinstance(node, dict):
        return node
    words = {}
    for key, value in node.items():
        if key not in ("properties", "description"):
            words[key] = _worded(value)
    if isinstance(node.get("description"), str):
        words["description"] = _in_one_line(node["description"])
    if "properties" in node:
        fields = {}
        for name, field in node["properties"].items():
            fields[name] = _field(name, field)
        words["properties"] = fields
    kind = words.get("type")
    if isinstance(kind, str) and kind in GROUPED:
        pattern, message = GROUPED[kind]
        words["type"] = _types(kind)
        words["pattern"] = pattern
        words["patternErrorMessage"] = message
    return words


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _types(kind: str) -> list[str]:
    if kind in GROUPED:
        return [kind, "string"]
    return [kind]


def _field(name: str, field: Schema) -> Schema:
    words: Schema = _worded(_one_type(field))
    if "title" in field:
        words["title"] = heading(name, field)
    return words


def _one_type(field: Schema) -> Schema:
    """The field, its alternatives under one `type`, such as a number or nothing.

    Editors would tell a mistake once for each alternative.
    """
    parts = field.get("anyOf", [])
    for part in parts:
        if not isinstance(part.get("type"), str) or "enum" in part:
            return field
    if not parts:
        return field
    merged = dict(field)
    del merged["anyOf"]
    types: list[str] = []
    for part in parts:
        merged |= _worded(part)
        types += _types(part["type"])
    merged["type"] = list(dict.fromkeys(types))
    return merged


def write(path: Path, document: Schema) -> None:
    """Write the schema; UserError if that would replace anything but an older one."""
    try:
        if path.exists() and not _is_a_schema(path.read_bytes()):
            raise UserError(f"{path} exists and is no schema of simssl's, so it is left as it is; name another file")
        if not path.parent.is_dir():
            raise UserError(f"{path} cannot be written: No such file or directory")
        text = json.dumps(document, indent=2)
        write_whole(path, f"{text}\n".encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def _is_a_schema(content: bytes) -> bool:
    try:
        document = json.loads(content)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("title") == TITLE

"""The JSON Schema of an experiment file, with the parameters of every installed plugin."""

from __future__ import annotations

from typing import Any

from simssl.errors import UserError
from simssl.experiment.config import MANY, ONE
from simssl.experiment.model import NAME, Core
from simssl.registry import Registry


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
        definitions[kind] = {"oneOf": variants}
    properties: dict[str, Any] = {kind: {"$ref": f"#/$defs/{kind}"} for kind in ONE}
    properties |= {key: {"type": "array", "items": {"$ref": f"#/$defs/{kind}"}} for key, kind in MANY.items()}
    grid = {"type": "object", "description": "Axes: dotted keys, or labels of yours, with lists of values."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "simssl experiment",
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "anyOf": [{"required": [*core["required"], *ONE]}, {"required": ["grid"]}],
        "properties": core["properties"] | properties | {"grid": grid},
        "$defs": definitions,
    }, left_out


def _plugin(kind: str, name: str, registry: Registry, definitions: dict[str, Any]) -> dict[str, Any]:
    plugin = registry.load(kind, name)
    params = plugin.Params.model_json_schema(ref_template=f"#/$defs/{kind}.{name}.{{model}}")
    for model, definition in params.pop("$defs", {}).items():
        definitions[f"{kind}.{name}.{model}"] = definition
    about = (plugin.__doc__ or "").strip().split("\n")[0]
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

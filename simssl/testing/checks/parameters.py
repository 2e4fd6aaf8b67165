"""Checks of every kind: a plugin documents itself, and its parameters are sound."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simssl.testing.fixtures import default_params
from simssl.testing.outcomes import Check

BOUNDS = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "enum", "const"}
"""Keys that bound a number in a JSON Schema."""


def parameters_are_documented(plugin: Any, folder: Path) -> None:
    """The class has a docstring, and so has every field of its `Params`."""
    assert inspect.getdoc(plugin), f"{plugin.__name__} has no docstring"
    silent = [name for name, field in _fields(plugin) if not field.get("description")]
    assert not silent, f"put a docstring under {', '.join(silent)} in {plugin.__name__}.Params"


def parameters_are_bounded(plugin: Any, folder: Path) -> None:
    """Every number of its `Params` has a bound (`Field(gt=0)`), or says why it needs none:
    `Field(json_schema_extra={"unbounded": reason})`."""
    for name, field in _fields(plugin):
        reason = field.get("unbounded")
        excused = isinstance(reason, str) and reason.strip()
        free = any(_unbounded(field))
        assert not free or excused, (
            f"{plugin.__name__}.Params.{name} has no bound: give it one of ge, gt, le and lt, or the reason why it "
            "needs none, Field(json_schema_extra={'unbounded': '...'})"
        )
        assert free or reason is None, f"{plugin.__name__}.Params.{name} has a bound: take out 'unbounded'"


def defaults_are_valid(plugin: Any, folder: Path) -> None:
    """The defaults are accepted, and survive JSON. A field without a default is tested at the first of its
    `examples`."""
    params = default_params(plugin)
    again = plugin.Params.model_validate_json(params.model_dump_json())
    assert again == params, f"written as JSON and read again, {params!r} becomes {again!r}"


def _fields(plugin: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and schemas of the fields of its `Params`, and of the models within."""
    schema = plugin.Params.model_json_schema()
    yield from schema.get("properties", {}).items()
    for model, within in schema.get("$defs", {}).items():
        for name, field in within.get("properties", {}).items():
            yield f"{model}.{name}", field


def _unbounded(schema: Any) -> Iterator[bool]:
    """Yield for each number in a schema whether it may be any number."""
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number"):
            yield not BOUNDS & schema.keys()
        for key, part in schema.items():
            if key not in ("default", "examples"):
                yield from _unbounded(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _unbounded(part)


CHECKS: tuple[Check, ...] = (
    parameters_are_documented,
    parameters_are_bounded,
    defaults_are_valid,
)

"""The JSON Schema says what the checker says."""

from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result

from simssl.experiment.schema import schema
from simssl.registry import Registry


def test_every_plugin_and_field_is_described() -> None:
    registry = Registry(builtins_only=True)
    document, left_out = schema(registry)
    assert not left_out
    for kind in ("dataset", "backbone", "objective", "evaluator", "tracker"):
        variants = document["$defs"][kind]["oneOf"]
        assert [variant["title"] for variant in variants] == registry.names(kind)
        for variant in variants:
            assert variant["description"]
            assert all(field.get("description") for field in variant["properties"].values()), variant["title"]


def test_references_lead_somewhere() -> None:
    document, _ = schema(Registry(builtins_only=True))
    text = json.dumps(document)
    references = {part.split('"')[0] for part in text.split('"$ref": "#/$defs/')[1:]}
    assert references
    assert references <= document["$defs"].keys()


def test_a_broken_plugin_is_left_out_and_named(simssl: Callable[..., Result], package: Callable[..., object]) -> None:
    package("broken-dist", "broken_schema", "import nowhere_at_all", objective="broken")
    result = simssl("schema")
    assert result.exit_code == 0
    assert "broken-dist 1.0" in result.stderr
    assert "simvae" in result.stdout

"""The JSON Schema says what the checker says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from simssl.experiment.schema import schema
from simssl.plugin.registry import Registry


def test_every_plugin_and_field_is_described() -> None:
    registry = Registry(builtins_only=True)
    document, left_out = schema(registry)
    assert not left_out
    for kind in ("dataset", "backbone", "objective", "evaluator", "tracker"):
        variants = [alternative["then"] for alternative in document["$defs"][kind]["allOf"]]
        assert [variant["title"] for variant in variants] == registry.names(kind)
        assert document["$defs"][kind]["properties"]["name"]["enum"] == registry.names(kind)
        for variant in variants:
            assert variant["description"]
            assert all(field.get("description") for field in variant["properties"].values()), variant["title"]


@pytest.mark.parametrize(("kind", "name"), [("objective", "simvae"), ("evaluator", "knn"), ("backbone", "resnet18")])
def test_editors_show_what_simssl_show_prints(kind: str, name: str, simssl: Callable[..., Result]) -> None:
    """Heading and meaning of every parameter, but for where the lines break."""
    document, _ = schema(Registry(builtins_only=True))
    variants = {alternative["then"]["title"]: alternative["then"] for alternative in document["$defs"][kind]["allOf"]}
    shown = " ".join(simssl("show", kind, name).stdout.split())
    fields = {key: field for key, field in variants[name]["properties"].items() if key not in ("name", "as", "dataset")}
    assert fields
    for field in fields.values():
        assert f"{field['title']} {field['description']}" in shown


def test_an_older_schema_is_replaced_and_nothing_else(simssl: Callable[..., Result]) -> None:
    for _ in range(2):
        written = simssl("schema", "-o", "simssl.schema.json")
        assert written.exit_code == 0
        assert "\n  # yaml-language-server: $schema=simssl.schema.json\n" in written.stdout
    assert json.loads(Path("simssl.schema.json").read_text())["title"] == "simssl experiment"
    for text in ("name: mine\n", "[1, 2]", '{"title": "mine"}', ""):
        Path("mine").write_text(text)
        refused = simssl("schema", "-o", "mine")
        assert refused.exit_code == 2
        assert refused.stderr == "mine exists and is no schema of simssl's, so it is left as it is; name another file\n"
        assert Path("mine").read_text() == text
    nowhere = simssl("schema", "-o", "nowhere/simssl.schema.json")
    assert nowhere.exit_code == 2
    assert nowhere.stderr == "nowhere/simssl.schema.json cannot be written: No such file or directory\n"


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


def test_evaluators_offer_another_data_set() -> None:
    found, _ = schema(Registry(builtins_only=True))
    evaluators = {condition["then"]["title"]: condition["then"] for condition in found["$defs"]["evaluator"]["allOf"]}
    assert evaluators["uncertainty"]["properties"]["dataset"]["$ref"] == "#/$defs/dataset"
    assert "beside" in evaluators["uncertainty"]["properties"]["dataset"]["description"]
    assert evaluators["knn"]["properties"]["dataset"]["$ref"] == "#/$defs/dataset"
    assert "in place of" in evaluators["knn"]["properties"]["dataset"]["description"]

"""Experiment files are YAML 1.2, and every error has its position."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from simssl.experiment.document import ExperimentError
from simssl.experiment.yaml12 import parse, parse_override, read


def tree(text: str) -> object:
    document = parse(text, "f.yaml")
    return document and document.tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("8e-5", 8e-5),
        ("-1.5", -1.5),
        ("240_000_000", 240_000_000),
        ("1_000.5", 1000.5),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("on", "on"),
        ("yes", "yes"),
        ("True", True),
        ("false", False),
        ("~", None),
        ("null", None),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("'1'", "1"),
        ("1_", "1_"),
        ("_1", "_1"),
        ("1.2.3", "1.2.3"),
        ("-.inf", -math.inf),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    scalar = tree(text)
    assert scalar == value
    assert type(scalar) is type(value)


def test_not_a_number() -> None:
    assert math.isnan(tree(".nan"))  # type: ignore[arg-type]


def test_positions_are_lines_and_columns_from_one() -> None:
    document = parse("a: 1\nb:\n  - c: {d: 2}\n", "f.yaml")
    assert document is not None
    assert str(document.position(("a",), of_key=True)) == "f.yaml:1:1"
    assert str(document.position(("a",))) == "f.yaml:1:4"
    assert str(document.position(("b", 0, "c", "d"), of_key=True)) == "f.yaml:3:9"
    assert str(document.position(("b", 0, "c", "d"))) == "f.yaml:3:12"
    assert str(document.position(("b", 0, "x", "y"))) == "f.yaml:3:5"


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("a: 1\na: 2\n", "f.yaml:2:1", "duplicate key 'a' (first at line 1)"),
        ("a: [1\nb: 2", "f.yaml:2:2", "not YAML"),
        ("a: !!python/object:os.system x", "f.yaml:1:4", "tag !!python/object:os.system is not supported"),
        ("a: !own {b: 1}", "f.yaml:1:4", "tag !own is not supported"),
        ("1: a", "f.yaml:1:1", "a key must be a string"),
        ("a: &x [*x]", "f.yaml:1:4", "may not contain itself"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1", "another document"),
        ("a: \x07", "f.yaml:1:4", "not YAML"),
        ("a:\n\t- 1\n", "f.yaml:2:1", "not YAML"),
        ('a: "x\\ud800"', "f.yaml:1:4", "gives half a character"),
        ("a: " + "[" * 60 + "]" * 60, "f.yaml:1:54", "nested more than 50 levels deep"),
    ],
)
def test_errors_have_a_position(text: str, position: str, message: str) -> None:
    with pytest.raises(ExperimentError) as error:
        parse(text, "f.yaml")
    assert str(error.value).startswith(f"{position}: ")
    assert message in str(error.value)


def test_all_duplicates_are_reported() -> None:
    with pytest.raises(ExperimentError) as error:
        parse("a: 1\na: 2\nb: {c: 1, c: 2}\n", "f.yaml")
    assert len(error.value.problems) == 2


def test_an_alias_repeats_a_value() -> None:
    assert tree("a: &x {b: 1}\nc: *x\n") == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize("content", [b"", b"# only a comment\n", b"- a list\n", b"\xff\xfe\x00", b"text"])
def test_a_file_must_hold_a_mapping(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(content)
    with pytest.raises(ExperimentError, match=r"f\.yaml:1:1: "):
        read(file)


def test_overrides_are_yaml() -> None:
    key, document = parse_override("objective={name: simvae, sigma2: 1e-1}")
    assert key == "objective"
    assert document.tree == {"name": "simvae", "sigma2": 0.1}
    assert parse_override("grid=")[1].tree is None


@pytest.mark.parametrize("text", ["seed", "=1", "seed={", "seed=1: 2: 3"])
def test_a_bad_override_names_itself(text: str) -> None:
    with pytest.raises(ExperimentError) as error:
        parse_override(text)
    assert str(error.value).startswith(f"-s '{text}': ")


@pytest.mark.parametrize(
    "value",
    ["on", "1e-4", "1_000", "0x1F", "null", "", "~", "true", ".inf", "a: b", "- c", 1e-5, 1_000_000, None, [1, "1"]],
)
def test_dumped_values_are_read_back_as_they_were(value: object) -> None:
    from simssl.experiment.yaml12 import dump

    assert tree(dump({"a": value})) == {"a": value}

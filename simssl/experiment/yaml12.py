"""Reading YAML 1.2: files, and the VALUE of `-s KEY=VALUE`.

PyYAML reads YAML 1.1 (`on` is true, `1e-4` a string); here plain scalars follow YAML 1.2's core schema.
Digits may also be grouped with `_`. Duplicate keys and tags are errors: code never comes out of YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from simssl.errors import UserError
from simssl.experiment.document import Document, ExperimentError, Keys, Position, Problem, describe


def read(path: Path) -> Document:
    """Read an experiment file; ExperimentError says what is wrong with it, and where."""
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ExperimentError([Problem(Position(str(path), 1, 1), f"not a text file ({error.reason})")]) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    document = parse(text, str(path))
    if document is None:
        raise ExperimentError([Problem(Position(str(path), 1, 1), "the file is empty")])
    if not isinstance(document.tree, dict):
        message = f"an experiment is a mapping of keys, not {describe(document.tree)}"
        raise ExperimentError([Problem(document.values[()], message)])
    return document


def parse_override(text: str) -> tuple[str, Document]:
    """The dotted key and the value of `KEY=VALUE`, VALUE being YAML."""
    source = f"-s '{text}'"
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ExperimentError([Problem(Position(source), "an override is KEY=VALUE, such as seed=1")])
    return key.strip(), parse_value(value, source)


def parse_value(text: str, source: str) -> Document:
    """The YAML value of an option, every position of which is the option itself."""
    here = Position(source)
    try:
        document = parse(text, source)
    except ExperimentError as error:
        raise ExperimentError(Problem(here, p.message) for p in error.problems) from None
    document = document or Document(None, values={(): here})
    return Document(document.tree, dict.fromkeys(document.keys, here), dict.fromkeys(document.values, here))


def dump(tree: Any) -> str:
    """A tree as YAML 1.2 text that `parse` reads back as it was."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=100)


def parse(text: str, source: str) -> Document | None:
    """The one YAML document of a text; None if it is empty."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(source, mark.line + 1, mark.column + 1) if mark else Position(source)
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise ExperimentError([Problem(position, f"not YAML: {what}")]) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        position = Position(source, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise ExperimentError([Problem(position, f"not YAML: {error.reason}")]) from None
    except RecursionError:
        raise ExperimentError([Problem(Position(source, 1, 1), "nested too deeply")]) from None
    if root is None:
        return None
    builder = _Builder(source)
    tree = builder.build(root, ())
    if builder.problems:
        raise ExperimentError(builder.problems)
    return Document(tree, builder.keys, builder.values)


DEPTH = 50
"""Levels of nesting; no experiment needs as many."""


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars by YAML 1.2's core schema; digits may also be grouped with `_`."""

    yaml_implicit_resolvers: dict[str, Any] = {}


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader` would not read as a string."""

    yaml_implicit_resolvers: dict[str, Any] = {}


DIGITS = r"[0-9]+(?:_[0-9]+)*"
_INT = re.compile(rf"(?:[-+]?{DIGITS}|0o[0-7]+|0x[0-9a-fA-F]+)$")
NUMBER = rf"[-+]?(?:\.{DIGITS}|{DIGITS}(?:\.(?:{DIGITS})?)?)(?:[eE][-+]?[0-9]+)?"
_FLOAT = re.compile(rf"(?:{NUMBER}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"(?:null|Null|NULL|~|)$")
for _tag, _pattern in {"null": _NULL, "bool": _BOOL, "int": _INT, "float": _FLOAT}.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, None)


class _Builder:
    """Turns YAML's nodes into plain values, noting positions and problems."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.keys: dict[Keys, Position] = {}
        self.values: dict[Keys, Position] = {}
        self.problems: list[Problem] = []
        self.open: list[yaml.Node] = []

    def build(self, node: yaml.Node, path: Keys) -> Any:
        self.values[path] = self._position(node)
        if len(path) > DEPTH:
            return self._problem(node, f"nested more than {DEPTH} levels deep")
        if any(node is parent for parent in self.open):
            return self._problem(node, "an alias may not contain itself")
        self.open.append(node)
        try:
            if isinstance(node, yaml.ScalarNode):
                return self._scalar(node)
            if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
                return self._problem(node, f"the tag {_short(node.tag)} is not supported")
            if isinstance(node, yaml.MappingNode):
                return dict(self._items(node, path))
            return [self.build(child, (*path, i)) for i, child in enumerate(node.value)]
        finally:
            self.open.pop()

    def _items(self, node: yaml.MappingNode, path: Keys) -> Iterator[tuple[str, Any]]:
        for key_node, value_node in node.value:
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                self._problem(key_node, "a key must be a string (put quotes around it)")
                continue
            here = (*path, key)
            if here in self.keys:
                self._problem(key_node, f"duplicate key '{key}' (first at line {self.keys[here].line})")
                continue
            self.keys[here] = self._position(key_node)
            yield key, self.build(value_node, here)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind, text = node.tag.removeprefix("tag:yaml.org,2002:"), node.value
        try:
            if kind == "str":
                text.encode()  # half of a surrogate pair is no character
                return text
            if kind == "null":
                return None
            if kind == "bool":
                return {"true": True, "false": False}[text.lower()]
            if kind == "int":
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            if kind == "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except UnicodeEncodeError:
            return self._problem(node, "not text: a \\u escape gives half a character")
        except (ValueError, KeyError):
            return self._problem(node, f"'{text[:40]}' is not {kind}")
        return self._problem(node, f"the tag {_short(node.tag)} is not supported")

    def _position(self, node: yaml.Node) -> Position:
        return Position(self.source, node.start_mark.line + 1, node.start_mark.column + 1)

    def _problem(self, node: yaml.Node, message: str) -> None:
        self.problems.append(Problem(self._position(node), message))


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")

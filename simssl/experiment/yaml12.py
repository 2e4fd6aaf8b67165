"""Reading YAML 1.2: files, and the VALUE of `-s KEY=VALUE`.

PyYAML reads YAML 1.1 (`on` is true, `1e-4` a string). Here plain scalars follow YAML 1.2's core schema, and digits
may be grouped with `_`. Duplicate keys and tags are errors: code never comes out of YAML.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from simssl.errors import UserError
from simssl.experiment.document import Document, ExperimentError, Keys, Position, Positions, Problem, describe
from simssl.experiment.whitespace import TAB_INDENTS, TabsBetweenTokens, lookalike, lookalike_near


def read(path: Path) -> Document:
    """Read an experiment file; ExperimentError lists what is wrong with it, with positions."""
    start = Position(str(path), 1, 1)
    try:
        with path.open("rb") as file:
            content = file.read(SIZE + 1)
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _wrong(start, f"not a text file ({error.reason})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    document = parse(text, str(path))
    if document is None:
        raise _wrong(start, "the file is empty")
    if not isinstance(document.tree, dict):
        what = describe(document.tree)
        raise _wrong(document.values[()], f"an experiment is a mapping of keys, not {what}")
    return document


def _wrong(position: Position, message: str) -> ExperimentError:
    return ExperimentError([Problem(position, message)])


def parse_override(text: str) -> tuple[str, Document]:
    """Return the dotted key and the value of `KEY=VALUE`; VALUE is YAML."""
    source = f"-s '{text}'"
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise _wrong(Position(source), "an override is KEY=VALUE, such as seed=1")
    return key.strip(), parse_value(value, source)


def parse_value(text: str, source: str) -> Document:
    """Return the YAML value of an option. The option itself is the position of everything in it."""
    option = Position(source)
    try:
        document = parse(text, source)
    except ExperimentError as error:
        problems = [Problem(option, problem.message) for problem in error.problems]
        raise ExperimentError(problems) from None
    if document is None:
        return Document(None, values={(): option})
    keys = dict.fromkeys(document.keys, option)
    values = dict.fromkeys(document.values, option)
    return Document(document.tree, keys, values)


def dump(tree: Any) -> str:
    """Return a tree as YAML 1.2 text that `parse` reads back as it was."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=100)


def parse(text: str, source: str) -> Document | None:
    """Return the one YAML document of a text; None if it is empty."""
    if len(text) > SIZE:
        raise _wrong(Position(source, 1, 1), f"longer than {SIZE:,} characters, which no experiment needs")
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        parts = [part for part in (error.context, error.problem) if part]
        if "'\\t'" in (error.problem or ""):
            parts = [TAB_INDENTS]
        mark = error.problem_mark or error.context_mark
        if mark is None:
            raise _wrong(Position(source), f"not YAML: {', '.join(parts)}") from None
        position = _position(source, mark)
        if type(error) is yaml.MarkedYAMLError:  # a bound of ours
            raise _wrong(position, ", ".join(parts)) from None
        first = error.context_mark or mark
        near = lookalike_near(text, first.line - 1, mark.line)
        raise _wrong(position, f"not YAML: {', '.join(parts)}{near}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line = before.count("\n") + 1
        column = len(before) - before.rfind("\n")
        position = Position(source, line, column)
        raise _wrong(position, f"not YAML: {error.reason}") from None
    except RecursionError:
        raise _wrong(Position(source, 1, 1), "nested too deeply") from None
    if root is None:
        return None
    builder = _Builder(source)
    tree = builder.build(root, ())
    if builder.problems:
        raise ExperimentError(builder.problems)
    return Document(tree, builder.keys, builder.values)


def _position(source: str, mark: yaml.Mark) -> Position:
    return Position(source, mark.line + 1, mark.column + 1)


SIZE = 131_072
"""Most characters of a text."""
NODES = 5_000
"""Most keys and values of a document, those counted that aliases repeat."""
DEPTH = 50
"""Most levels of nesting. No experiment needs as many."""
DIGITS_OF_A_NUMBER = 100
"""Most characters of a number."""
TOO_DEEP = f"nested more than {DEPTH} levels deep"
TOO_MANY = f"more than {NODES:,} keys and values, those counted that aliases repeat"


class _Loader(TabsBetweenTokens, yaml.SafeLoader):
    """Resolves plain scalars by YAML 1.2's core schema, and digits that are grouped with `_`. It stops at a bound."""

    yaml_implicit_resolvers: dict[str, Any] = {}
    nodes = 0
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.nodes += 1
        self.depth += 1
        if self.nodes > NODES:
            raise yaml.MarkedYAMLError(problem=TOO_MANY, problem_mark=self.peek_event().start_mark)
        if self.depth > DEPTH + 1:
            raise yaml.MarkedYAMLError(problem=TOO_DEEP, problem_mark=self.peek_event().start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level > 2 * DEPTH:  # the time that a bracket takes grows with the brackets around it
            raise yaml.MarkedYAMLError(problem=TOO_DEEP, problem_mark=self.get_mark())
        super().fetch_flow_collection_start(token)


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
    """Turns YAML's nodes into plain values, and notes positions and problems."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.keys: Positions = {}
        self.values: Positions = {}
        self.problems: list[Problem] = []
        self.open: list[yaml.Node] = []

    def build(self, node: yaml.Node, path: Keys) -> Any:
        """Return the value of a node, which stands at `path`."""
        self.values[path] = _position(self.source, node.start_mark)
        if len(self.keys) + len(self.values) > NODES:
            raise _wrong(self.values[path], TOO_MANY)
        if len(path) > DEPTH:
            return self._problem(node, TOO_DEEP)
        for parent in self.open:
            if parent is node:
                return self._problem(node, "an alias may not contain itself")
        self.open.append(node)
        try:
            if isinstance(node, yaml.ScalarNode):
                return self._scalar(node)
            if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
                return self._unsupported(node)
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return self._sequence(node, path)
        finally:
            self.open.pop()

    def _mapping(self, node: yaml.MappingNode, path: Keys) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node, is_key=True) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                self._problem(key_node, "a key must be a string (put quotes around it)")
                continue
            here = (*path, key)
            if here in self.keys:
                line = self.keys[here].line
                self._problem(key_node, f"duplicate key '{key}' (first at line {line})")
                continue
            self.keys[here] = _position(self.source, key_node.start_mark)
            mapping[key] = self.build(value_node, here)
        return mapping

    def _sequence(self, node: yaml.Node, path: Keys) -> list[Any]:
        entries = []
        for i, entry_node in enumerate(node.value):
            here = (*path, i)
            entries.append(self.build(entry_node, here))
        return entries

    def _scalar(self, node: yaml.ScalarNode, is_key: bool = False) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        text = node.value
        if kind in ("int", "float") and len(text) > DIGITS_OF_A_NUMBER:
            return self._problem(node, f"'{text[:20]}...' has {len(text):,} digits, too many for a number")
        try:
            if kind == "str":
                text.encode()  # half of a surrogate pair is no character
                unseen = lookalike(text, is_key) if node.style is None else None  # None: without quotes
                if unseen:
                    self._problem(node, f"{unseen} stands in '{text.strip()[:40]}'; take it away, or write a space")
                return text
            if kind == "null":
                return None
            if kind == "bool":
                return {"true": True, "false": False}[text.lower()]
            if kind == "int":
                base = {"0o": 8, "0x": 16}.get(text[:2], 10)
                return int(text, base)
            if kind == "float":
                number = text.lower().replace(".inf", "inf").replace(".nan", "nan")
                return float(number)
        except UnicodeEncodeError:
            return self._problem(node, "not text: a \\u escape gives half a character")
        except (ValueError, KeyError):
            return self._problem(node, f"'{text[:40]}' is not {kind}")
        return self._unsupported(node)

    def _unsupported(self, node: yaml.Node) -> None:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        self._problem(node, f"the tag {tag} is not supported")

    def _problem(self, node: yaml.Node, message: str) -> None:
        position = _position(self.source, node.start_mark)
        self.problems.append(Problem(position, message))

"""An experiment file as a tree, with the line and column of every key and value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from simssl.errors import UserError

Keys = tuple[str | int, ...]
"""A path into the tree: keys of mappings and indices of lists."""


@dataclass(frozen=True)
class Position:
    """Where something stands: a file's name with line and column (from 1), or an option."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where."""

    position: Position
    message: str

    def __str__(self) -> str:
        return f"{self.position}: {self.message}"


class ExperimentError(UserError):
    """Everything that is wrong with an experiment, one line a problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        def reading_order(problem: Problem) -> tuple[int, int, str]:
            return problem.position.line or 0, problem.position.column or 0, str(problem)

        self.problems = sorted(set(problems), key=reading_order)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass
class Document:
    """A tree of plain values (mappings, lists, strings, numbers, booleans, None) and their positions."""

    tree: Any
    keys: dict[Keys, Position] = field(default_factory=dict)
    values: dict[Keys, Position] = field(default_factory=dict)

    def position(self, path: Keys, of_key: bool = False) -> Position:
        """The position of the value at `path` (or of its key), or of the nearest thing around it."""
        if of_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values[path]

    def sub(self, path: Keys) -> Document:
        """The subtree at `path`, as a document of its own."""
        tree = self.tree
        for key in path:
            tree = tree[key]
        n = len(path)
        keys = {p[n:]: position for p, position in self.keys.items() if p[:n] == path}
        return Document(tree, keys, {p[n:]: position for p, position in self.values.items() if p[:n] == path})

    def without(self, key: str) -> Document:
        """This document without a key at the top."""
        tree = {k: v for k, v in self.tree.items() if k != key}
        keys = {p: position for p, position in self.keys.items() if p[:1] != (key,)}
        return Document(tree, keys, {p: position for p, position in self.values.items() if p[:1] != (key,)})

    def replace(self, dotted: str, new: Document) -> Document:
        """This document with the subtree at a dotted key replaced by `new`; ExperimentError on a bad path."""
        path = self._path(dotted, new.values[()])
        n = len(path)
        keys = {p: position for p, position in self.keys.items() if p[:n] != path}
        values = {p: position for p, position in self.values.items() if p[:n] != path}
        for i in range(1, n + 1):
            keys.setdefault(path[:i], new.values[()])
            values.setdefault(path[:i], new.values[()])
        keys |= {path + p: position for p, position in new.keys.items()}
        values |= {path + p: position for p, position in new.values.items()}
        return Document(_replaced(self.tree, path, new.tree), keys, values)

    def _path(self, dotted: str, position: Position) -> Keys:
        """The keys of a dotted key: list indices as numbers, checked against the tree."""
        node, path = self.tree, list[str | int]()
        for part in dotted.split("."):
            so_far = ".".join(map(str, path))
            if not part:
                raise ExperimentError([Problem(position, f"'{dotted}' is not a dotted key")])
            if isinstance(node, list):
                if not (part.isdecimal() and int(part) < len(node)):
                    raise ExperimentError(
                        [Problem(position, f"'{so_far}' is a list of {len(node)}, without a '{part}'")]
                    )
                path.append(int(part))
                node = node[int(part)]
            elif isinstance(node, dict) or node is None:
                path.append(part)
                node = (node or {}).get(part)
            else:
                raise ExperimentError([Problem(position, f"'{so_far}' is {describe(node)}, without a key '{part}'")])
        return tuple(path)


def _replaced(tree: Any, path: Keys, new: Any) -> Any:
    if not path:
        return new
    copy = list(tree) if isinstance(tree, list) else dict(tree or {})
    child = copy[path[0]] if isinstance(copy, list) else copy.get(path[0])  # type: ignore[index]
    copy[path[0]] = _replaced(child, path[1:], new)  # type: ignore[index]
    return copy


def describe(value: Any) -> str:
    """What a value is, in the words of YAML."""
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)

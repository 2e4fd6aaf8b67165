"""An experiment file as a tree, with the line and column of every key and value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from simssl.errors import UserError

Keys = tuple[str | int, ...]
"""A path into the tree: keys of mappings and indices of lists."""


@dataclass(frozen=True)
class Position:
    """A file with line and column (from 1), or an option of the command."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        if self.line is None:
            return self.source
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and its position."""

    position: Position
    message: str

    def __str__(self) -> str:
        return f"{_cut(str(self.position), 300)}: {_cut(self.message, 1000)}"


def _cut(text: str, most: int) -> str:
    """The text, or the beginning of one that is longer."""
    return text if len(text) <= most else f"{text[:most]}..."


Positions = dict[Keys, Position]
"""The position of each key, or of each value, by its path."""


SHOWN = 100
"""Most problems that an error tells."""


class ExperimentError(UserError):
    """Everything that is wrong with an experiment: one line for each problem, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems), key=_reading_order)
        lines = [str(problem) for problem in self.problems[:SHOWN]]
        more = len(self.problems) - SHOWN
        if more > 0:
            lines.append(f"and {more:,} more")
        super().__init__("\n".join(lines))


def _reading_order(problem: Problem) -> tuple[int, int, str]:
    line = problem.position.line or 0
    column = problem.position.column or 0
    return line, column, str(problem)


@contextmanager
def collecting(problems: list[Problem]) -> Iterator[None]:
    """Append what an ExperimentError of the block lists to `problems`, and go on after the block."""
    try:
        yield
    except ExperimentError as error:
        problems += error.problems


@dataclass
class Document:
    """A tree of plain values (mappings, lists, strings, numbers, booleans, None) and their positions."""

    tree: Any
    keys: Positions = field(default_factory=dict)
    values: Positions = field(default_factory=dict)

    def position(self, path: Keys, of_key: bool = False) -> Position:
        """Return the position of the value at `path` (or of its key), or of the nearest thing around it."""
        if of_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values[path]

    def problem(self, path: Keys, message: str, of_key: bool = False) -> Problem:
        """Return the problem with the value at `path`, or with its key."""
        return Problem(self.position(path, of_key), message)

    def sub(self, path: Keys) -> Document:
        """Return the subtree at `path` as a document of its own."""
        tree = self.tree
        for key in path:
            tree = tree[key]
        keys = _within(self.keys, path)
        values = _within(self.values, path)
        return Document(tree, keys, values)

    def entries(self, path: Keys) -> list[Document]:
        """Return the entries of the list at `path`, each as a document of its own."""
        around = self.sub(path)
        parts = [Document(entry) for entry in around.tree]
        for keys, position in around.keys.items():
            if keys:
                parts[_index(keys)].keys[keys[1:]] = position
        for keys, position in around.values.items():
            if keys:
                parts[_index(keys)].values[keys[1:]] = position
        return parts

    def without(self, key: str) -> Document:
        """Return this document without a key at the top."""
        tree = dict(self.tree)
        tree.pop(key, None)
        keys = _outside(self.keys, (key,))
        values = _outside(self.values, (key,))
        return Document(tree, keys, values)

    def replace(self, dotted: str, new: Document) -> Document:
        """Return this document with `new` as the subtree at a dotted key; ExperimentError on a bad path."""
        here = new.values[()]
        path = self._path(dotted, here)
        keys = _outside(self.keys, path)
        values = _outside(self.values, path)
        for i in range(1, len(path) + 1):
            on_the_way = path[:i]
            keys.setdefault(on_the_way, here)
            values.setdefault(on_the_way, here)
        for inner, position in new.keys.items():
            keys[path + inner] = position
        for inner, position in new.values.items():
            values[path + inner] = position
        tree = _replaced(self.tree, path, new.tree)
        return Document(tree, keys, values)

    def _path(self, dotted: str, position: Position) -> Keys:
        """The keys of a dotted key, checked against the tree; indices of lists are numbers."""

        def wrong(message: str) -> ExperimentError:
            return ExperimentError([Problem(position, message)])

        node = self.tree
        path: list[str | int] = []
        for part in dotted.split("."):
            if not part:
                raise wrong(f"'{dotted}' is not a dotted key")
            so_far = ".".join(map(str, path))
            if isinstance(node, list):
                if not (part.isdecimal() and int(part) < len(node)):
                    raise wrong(f"'{so_far}' is a list of {len(node)}, without a '{part}'")
                index = int(part)
                path.append(index)
                node = node[index]
            elif isinstance(node, dict):
                path.append(part)
                node = node.get(part)
            elif node is None:
                path.append(part)
            else:
                raise wrong(f"'{so_far}' is {describe(node)}, without a key '{part}'")
        return tuple(path)


def _index(keys: Keys) -> int:
    index = keys[0]
    assert isinstance(index, int)
    return index


def _within(positions: Positions, path: Keys) -> Positions:
    """The positions at `path` and below it, by their paths from there."""
    depth = len(path)
    within = {}
    for keys, position in positions.items():
        if keys[:depth] == path:
            within[keys[depth:]] = position
    return within


def _outside(positions: Positions, path: Keys) -> Positions:
    """The positions that are neither at `path` nor below it."""
    depth = len(path)
    return {keys: position for keys, position in positions.items() if keys[:depth] != path}


def _replaced(tree: Any, path: Keys, new: Any) -> Any:
    """A copy of the tree with `new` at `path`; mappings that are missing on the way are made."""
    if not path:
        return new
    key = path[0]
    below = path[1:]
    if isinstance(tree, list):
        assert isinstance(key, int)
        entries = list(tree)
        entries[key] = _replaced(tree[key], below, new)
        return entries
    mapping = dict(tree or {})
    inner = mapping.get(key)
    mapping[key] = _replaced(inner, below, new)
    return mapping


def describe(value: Any) -> str:
    """Say in the words of YAML what a value is."""
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)

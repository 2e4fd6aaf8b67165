"""Mutations of files, for tests that hand damaged and hostile files in. Hypothesis draws which."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Tree = Any
"""What YAML or JSON can hold."""


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


NASTY: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    10**90,
    10**400,
    1.5,
    -0.0,
    1e308,
    -1e308,
    5e-324,
    float("nan"),
    float("inf"),
    "",
    "x",
    "../../x",
    "a\nb",
    "\x1b]0;title\x07",
    "=cmd|' /C calc'!A0",
    "\\input{/etc/passwd}",
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "\u202eabc",
    "x" * 5000,
    "9" * 5000,
    [],
    {},
    [None],
    [[]],
    [1, 2, 2**62],
    [1e308, 1e308],
    ["x", 1],
    {"name": "x"},
    {"name": None},
    {"": ""},
    {"a\nb": "\x1b[2J"},
    {"name": ["knn"]},
    list(range(3000)),
    nested(60),
    nested(20),
]
"""Values that do not belong, and some that do."""


@st.composite
def mutated(draw: st.DrawFn, tree: Tree) -> Tree:
    """The tree with one to three of its values replaced, removed, renamed or repeated."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        _mutate(draw, tree)
    return tree


def _mutate(draw: st.DrawFn, tree: Tree) -> None:
    places = list(_places(tree))
    if not places:
        return
    around, key = draw(st.sampled_from(places))
    change = draw(st.sampled_from(CHANGES))
    change(draw, around, key)


def _places(tree: Tree) -> list[tuple[Any, Any]]:
    """Each key of a mapping and index of a list, with what it is in."""
    places: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting and len(places) < 500:
        node = waiting.pop()
        if isinstance(node, dict):
            keys: list[Any] = list(node)
        elif isinstance(node, list):
            keys = list(range(min(len(node), 5)))
        else:
            continue
        for key in keys:
            places.append((node, key))
            waiting.append(node[key])
    return places


def _replace(draw: st.DrawFn, around: Any, key: Any) -> None:
    around[key] = copy.deepcopy(draw(st.sampled_from(NASTY)))


def _remove(draw: st.DrawFn, around: Any, key: Any) -> None:
    del around[key]


def _rename(draw: st.DrawFn, around: Any, key: Any) -> None:
    texts = [value for value in NASTY if isinstance(value, str)]
    if isinstance(around, dict):
        around[draw(st.sampled_from(texts))] = around.pop(key)


def _wrap(draw: st.DrawFn, around: Any, key: Any) -> None:
    around[key] = draw(st.sampled_from([[around[key]], {"name": around[key]}, [around[key]] * 3]))


CHANGES: list[Callable[[st.DrawFn, Any, Any], None]] = [_replace, _replace, _replace, _remove, _rename, _wrap]

FRAGMENTS = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\x1b[2J",
    b"&a [*a, *a]",
    b"*a",
    b"[" * 3000,
    b"{" * 200,
    b"- " * 200,
    b"0x" + b"f" * 5000,
    b"1e999",
    b"NaN",
    b"!!python/object/apply:os.system [id]",
    b"\n",
    b"\t",
    b"'",
    b'"',
    b": ",
    b"x" * 200_000,
]
"""Bytes that break a file."""


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with one to three parts replaced, repeated or cut off."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        fragment = draw(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=8)))
        kind = draw(st.sampled_from(["replace", "insert", "repeat", "cut"]))
        if kind == "replace":
            content = content[:start] + fragment + content[end:]
        elif kind == "insert":
            content = content[:start] + fragment + content[start:]
        elif kind == "repeat":
            content = content[:end] + content[start:]
        else:
            content = content[:start]
    return content

"""The documentation as tests see it: its pages, their code blocks and headings, and modules that grow in steps."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A fenced block of code: its language, and the line that it begins on."""

    page: Path
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the blocks of a page, of these languages or of all."""
    text = page.read_text()
    blocks = []
    for fence in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        language, code = fence.groups()
        if not languages or language in languages:
            line = text[: fence.start()].count("\n") + 1
            blocks.append(Block(page, line, language, code))
    return blocks


def anchors(page: Path) -> set[str]:
    """Return what links can name in a page: its headings, as GitHub and the site write them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    slugs: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        without_links = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", without_links.strip().lower()).replace(" ", "-")
        if slug in slugs:
            same = sum(other.startswith(slug) for other in slugs)
            slug = f"{slug}-{same}"
        slugs.append(slug)
    return set(slugs)


def grown(steps: Iterable[str]) -> str:
    """Return a module after several steps: what a step shows replaces what has the same name, or joins it.

    That holds for functions and classes of the module, and within classes for their members, a docstring included.
    Imports come together at the top, and what is called at the end stays there.
    """
    imports: dict[str, ast.stmt] = {}
    body: dict[str, ast.stmt] = {}
    for step in steps:
        for node in ast.parse(step).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports[ast.unparse(node)] = node
            elif isinstance(node, ast.ClassDef) and node.name in body:
                _take_members(body[node.name], node)
            else:
                body[_name(node)] = node
    hooks = [name for name in body if name.startswith("simssl_")]
    last = [body.pop(name) for name in hooks]
    head = sorted(body.values(), key=lambda node: not isinstance(node, ast.Assign))
    module = ast.Module([*imports.values(), *head, *last], [])
    return ast.unparse(module) + "\n"


def _take_members(there: ast.stmt, new: ast.ClassDef) -> None:
    assert isinstance(there, ast.ClassDef)
    members = {_name(node): node for node in [*there.body, *new.body]}
    order = {"docstring": 0, "Params": 1}
    names = sorted(members, key=lambda name: order.get(name, 2))
    there.body = [members[name] for name in names]


def _name(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.target)
    assert isinstance(node, ast.Expr), ast.unparse(node)
    return "docstring"

"""The documentation as tests see it: its pages, their code blocks and headings, and modules that grow in steps."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


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
    """The blocks of a page, of these languages or of all."""
    text = page.read_text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    all_of_them = [Block(page, text[: m.start()].count("\n") + 1, m[1], m[2]) for m in found]
    return [block for block in all_of_them if not languages or block.language in languages]


def anchors(page: Path) -> set[str]:
    """What links can name in a page: its headings as GitHub and the site write them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    slugs: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        bare = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", bare).replace(" ", "-")
        slugs.append(slug if slug not in slugs else f"{slug}-{sum(s.startswith(slug) for s in slugs)}")
    return set(slugs)


def grown(steps: Iterable[str]) -> str:
    """A module after several steps: what a step shows replaces what has the same name, or joins it.

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
    last = [body.pop(name) for name in list(body) if name.startswith("simssl_")]
    head = sorted(body.values(), key=lambda node: not isinstance(node, ast.Assign))
    return ast.unparse(ast.Module([*imports.values(), *head, *last], [])) + "\n"


def _take_members(there: ast.stmt, new: ast.ClassDef) -> None:
    assert isinstance(there, ast.ClassDef)
    members = {_name(node): node for node in there.body} | {_name(node): node for node in new.body}
    order = {"docstring": 0, "Params": 1}
    there.body = [members[name] for name in sorted(members, key=lambda name: order.get(name, 2))]


def _name(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.target)
    assert isinstance(node, ast.Expr), ast.unparse(node)
    return "docstring"

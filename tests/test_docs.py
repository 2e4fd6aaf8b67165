"""The documentation against the code: hooks, links, and the pages that are made from it."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from pages import PAGES, ROOT, anchors, blocks

from simssl.plugin import hooks
from simssl.plugin.registry import KINDS

DOCS = ROOT / "docs"


@pytest.mark.parametrize("kind", KINDS)
def test_writing_a_plugin_begins_with_its_hook(kind: str) -> None:
    (page,) = DOCS.glob(f"writing-a*-{kind}.md")
    hook = getattr(hooks, f"simssl_{kind}")
    signature = f"{hook.__name__}{inspect.signature(hook)}".replace("'", "")
    assert f"Hook: `{signature}`, in the group `simssl.{kind}s`." in page.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_says_its_group_and_where_its_worked_example_is(kind: str) -> None:
    said = inspect.getdoc(getattr(hooks, f"simssl_{kind}")) or ""
    assert f"`simssl.{kind}s`" in said
    assert f"`simssl new {kind} NAME DEST`" in said
    (page,) = re.findall(r"docs/[\w-]+\.md", said)
    assert (ROOT / page).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        to = (page.parent / path).resolve() if path else page
        assert to.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(to), f"{page.name} links to {link}"


def test_every_page_is_in_the_index() -> None:
    others = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert linked_in(DOCS / "README.md") == others | {"decisions/README.md"}


def linked_in(page: Path) -> set[str]:
    return set(re.findall(r"\]\((\S+?\.md)\)", page.read_text()))


DECISIONS = sorted((DOCS / "decisions").glob("0*.md"))


def test_every_decision_is_in_their_list() -> None:
    numbers = [int(note.name[:4]) for note in DECISIONS]
    assert numbers == list(range(1, len(DECISIONS) + 1))
    assert linked_in(DOCS / "decisions" / "README.md") == {note.name for note in DECISIONS}


@pytest.mark.parametrize("note", DECISIONS, ids=lambda note: note.stem)
def test_a_decision_has_its_parts(note: Path) -> None:
    lines = note.read_text().splitlines()
    assert re.fullmatch(rf"# {int(note.name[:4])}\. .+", lines[0])
    assert re.fullmatch(r"Date: \d{4}-\d\d-\d\d", lines[2])
    assert [line for line in lines if line.startswith("## ")] == ["## Context", "## Decision", "## Consequence"]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_reference", DOCS / "reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(reference: ModuleType) -> dict[Path, str]:
    """The pages as they should be."""
    return dict(reference.pages())


WHOLE = ("api.md", "blocks.md", "parameters.md")
PARTS = ("experiment.md", *(f"writing-a{kind}.md" for kind in ("-backbone", "-dataset", "n-evaluator", "-tracker")))


@pytest.mark.parametrize("name", [*WHOLE, *PARTS])
def test_what_is_made_from_the_code_is_up_to_date(name: str, made: dict[Path, str]) -> None:
    assert (DOCS / name).read_text() == made[DOCS / name], "run: python docs/reference.py"


def test_all_that_is_made_is_compared(made: dict[Path, str]) -> None:
    assert {page.name for page in made} == {*WHOLE, *PARTS}


def test_no_table_holds_a_block_of_code(reference: ModuleType, made: dict[Path, str]) -> None:
    for page in made.values():
        for line in page.splitlines():
            assert not (line.startswith("|") and "```" in line)
    assert (
        reference._without_code("Known. Of a rank, say:\n\n```python\n...\n```\n\nMore.", "x.md")
        == "Known. [An example](x.md)."
    )


def test_readme_has_the_two_commands() -> None:
    first, second, *_ = blocks(ROOT / "README.md", "sh")
    assert "simssl run experiments/quickstart.yaml" in first.code
    assert second.code.splitlines()[-1] == "tox"


class Page(HTMLParser):
    """What a page of the site asks for by itself (scripts, styles, pictures), and the text of its formulas."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.asks_for: list[str] = []
        self.formulas: list[str] = []
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag == "math":
            self.formulas.append("")
        if tag in ("script", "img", "iframe", "source"):
            self.asks_for.append(values.get("src") or "")
        if tag == "link" and values.get("rel") not in ("canonical", "index", "search", "next", "prev"):
            self.asks_for.append(values.get("href") or "")

    def handle_data(self, data: str) -> None:
        if self.lasttag in ("mi", "mo", "mn", "mtext"):
            self.formulas[-1] += data


def test_the_site_builds_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    """Strictly: a warning, such as a link that leads nowhere, is an error."""
    for module in ("sphinx", "myst_parser", "furo", "latex2mathml"):
        pytest.importorskip(module, reason=f"there is no {module}: python -m pip install '.[docs]'")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(tmp_path / "doctrees")]
    built = subprocess.run([*command, str(DOCS), str(site)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    files = list(site.glob("*.html"))
    assert {file.stem for file in files} >= {page.stem for page in DOCS.glob("*.md")}
    assert {note.stem for note in DECISIONS} <= {file.stem for file in (site / "decisions").glob("*.html")}
    (start,) = re.findall(r'content="0; url=(.*?)"', (site / "index.html").read_text())
    assert (site / start).exists()
    pages = {file.stem: Page(file) for file in files}
    for name, page in pages.items():
        assert not [address for address in page.asks_for if "//" in address], name
    formulas = re.sub(r"^```.*?^```$", "", (DOCS / "theory.md").read_text(), flags=re.M | re.S)
    assert len(pages["theory"].formulas) == len(re.findall(r"\$\$.*?\$\$|\$.*?\$", formulas, re.S))
    assert not [formula for formula in pages["theory"].formulas if "\\" in formula], "a command that is not understood"
